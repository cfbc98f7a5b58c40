-- Purpose: what each cell costs in energy, beside its speeds.
-- Grain: one row per row of `cells` and scope; medians over its trials whose energy is valid.
-- Parameters: $1 the experiment.
select
  experiment, session, machine_id, machine, model, job, point, settings, {pooling_key}, flags,
  scope,
  median(joules_per_token) as joules_per_token
from speeds
join (
  select attempt_id, folder, point, scope, joules_per_token from energy where valid
) using (attempt_id, folder, point)
where experiment = $1
group by all
order by all
