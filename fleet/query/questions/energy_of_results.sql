-- Purpose: what each cell costs in energy, beside its speeds.
-- Grain: one row per row of `cells` and scope; medians over its trials whose energy is valid.
-- Parameters: $1 the experiment.
select
  s.experiment, s.session, s.machine_id, s.machine, s.model, s.digest, s.job, s.point, s.settings,
  s.engine, s.engine_version, s.engine_environment, s.hardware_id, s.os_version, s.os_build,
  s.kernel, s.gpu_driver, s.gpu_limit_mb, s.flags,
  e.scope,
  median(e.joules_per_token) as joules_per_token
from speeds s
join energy e using (attempt_id, folder, point)
where s.experiment = $1 and e.valid
group by all
order by all
