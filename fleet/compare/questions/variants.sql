-- Purpose: the measured trials, ready to be set side by side.
-- Grain: one row per everything that must not be mixed on one side: cell, session, engine, digest,
--        hardware, GPU limit, flags. The lists hold one value per trial, in one order.
-- Parameters: {axis}, {metrics} as SQL, {where} a clause with its own `?` parameters.
select
  {axis} as axis_value,
  model, job, job_content, point, machine_id, machine, settings,
  num_ctx, num_batch, num_thread, num_gpu, temperature, repeat_penalty, wired_limit_mb, think,
  flash_attention, kv_cache_type, num_parallel, cache_ram_mb, n_cpu_moe, swa_full, fit_target_mb,
  experiment, session, engine, engine_version, engine_environment, digest, hardware_id,
  chip, gpu, gpu_cores, memory_gb, gpu_limit_mb, os,
  os_version, os_build, gpu_driver, power_source, power_mode, thermal_class,
  flags, imported,
  count(*) as trials,
  max(started_at)::timestamp as last_at,
  sum(requests_left_out)::bigint as requests_left_out,
  list(block) as blocks,
  list(prompt_tokens) as prompt_tokens,
  {metrics}
from speeds
where {where}
group by all
