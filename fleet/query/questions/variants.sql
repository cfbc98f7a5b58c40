-- Purpose: the measured trials, ready to be set side by side; of `silent` ones no request is valid.
-- Grain: one row per everything that must not be mixed on one side: cell, session, engine, digest,
--        hardware, system, GPU limit, flags. The lists hold one value per trial, in one order. What was
--        asked is in `settings`, so the columns of each setting are not read.
-- Parameters: {axis}, {metrics} as SQL, {where} a clause with its own `?` parameters; source: the
--             view all_speeds, or `with_energy.sql`, and then energy: what tells its kinds apart.
select
  {axis} as axis_value,
  model, job, job_content, point, machine_id, machine, settings,
  think,
  experiment, session, engine, engine_version, engine_environment, digest, hardware_id,
  model_format, quantization, drafts, runner,
  chip, gpu, gpu_cores, gpu_memory_mb, memory_gb, memory_bandwidth_gb_s, gpu_limit_mb, os,
  os_version, os_build, kernel, gpu_driver, power_source, power_mode, thermal_class,
  flags, imported, silent,{energy}
  count(*) as trials,
  min(started_at)::timestamp as first_at,
  max(started_at)::timestamp as last_at,
  sum(requests_left_out)::bigint as requests_left_out,
  -- Share of the model outside the GPU's memory: why a side is slow.
  median(1 - placement_gpu_bytes / placement_size_bytes) as cpu_share,
  list(block) as blocks,
  list(coalesce(submission_id, '')) as submissions,
  list(prompt_tokens) as prompt_tokens,
  list(output_tokens) as output_tokens,
  {metrics}
from {source}
where {where}
group by all
order by all
