-- Purpose: what the machines of the results were when they were last measured.
-- Grain: one row per machine id, by name.
-- Parameters: $1 the experiment, null for all.
select
  machine_id,
  arg_max(machine, started_at) as machine,
  arg_max(chip, started_at) as chip,
  arg_max(gpu, started_at) as gpu,
  arg_max(gpu_cores, started_at) as gpu_cores,
  arg_max(memory_gb, started_at) as memory_gb,
  arg_max(os, started_at) as os,
  arg_max(os_version, started_at) as os_version,
  arg_max(gpu_driver, started_at) as gpu_driver,
  arg_max(engine, started_at) as engine,
  arg_max(engine_version, started_at) as engine_version
from trials
where outcome = 'ok' and ($1 is null or experiment = $1)
group by machine_id
order by machine, machine_id
