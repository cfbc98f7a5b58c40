-- Purpose: every machine that was measured, with its facts as last seen.
-- Grain: one row per machine_id, the one seen last first.
-- Parameters: none.
with seen_last as (
  select arg_max(attempt_id, started_at) as attempt_id from trials group by machine_id
),
told as (
  -- as the text of JSON: a fact unknown is the word null there
  select
    attempt_id, folder,
    facts ->> '$.virtual.value' = 'true' as virtual,
    facts ->> '$.hypervisor.value' as hypervisor,
    facts ->> '$.container.value' = 'true' as container,
    facts ->> '$.container_kind.value' as container_kind,
    facts ->> '$.cpu_cores.value' as cpu_cores
  from fingerprints
  semi join seen_last using (attempt_id)
)
select
  machine_id,
  arg_max(machine, started_at) as machine,
  arg_max(chip, started_at) as chip,
  arg_max(gpu, started_at) as gpu,
  arg_max(gpu_cores, started_at) as gpu_cores,
  arg_max(memory_gb, started_at) as memory_gb,
  arg_max(gpu_limit_mb, started_at) as gpu_limit_mb,
  arg_max(gpu_memory_mb, started_at) as gpu_memory_mb,
  arg_max(memory_bandwidth_gb_s, started_at) as memory_bandwidth_gb_s,
  arg_max(virtual, started_at) as virtual,
  arg_max(hypervisor, started_at) as hypervisor,
  arg_max(container, started_at) as container,
  arg_max(container_kind, started_at) as container_kind,
  try_cast(arg_max(cpu_cores, started_at) as bigint) as cpu_cores,
  count(distinct hardware_id) as hardware_seen,
  arg_max(os, started_at) as os,
  arg_max(os_version, started_at) as os_version,
  arg_max(gpu_driver, started_at) as gpu_driver,
  arg_max(engine, started_at) as engine,
  arg_max(engine_version, started_at) as engine_version,
  -- Measurements, of which two stores may hold two of one trial; and trials that never went well.
  count(distinct (trial_id, coalesce(submission_id, zero_unix_ns::varchar)))
      filter (outcome = 'ok')
    + count(distinct trial_id) - count(distinct trial_id) filter (outcome = 'ok') as trials,
  arg_max(started_local, started_at) as last_seen,
  arg_max(coalesce(utc_offset_s, 0), started_at) as utc_offset_s
from trials
left join told using (attempt_id, folder)
group by machine_id
order by max(started_at) desc, machine_id;
