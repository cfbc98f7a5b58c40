-- Purpose: what each cell costs in energy, beside its speeds.
-- Grain: one row per cell, point and scope; medians over its trials whose energy is valid.
-- Parameters: $1 the experiment, null for all.
select
  experiment, session, machine_id, machine, model, job, settings, point, scope,
  median(joules_per_token) as joules_per_token,
  count(*) as trials
from energy
where valid and coalesce(role, 'measure') = 'measure' and ($1 is null or experiment = $1)
group by all
order by all
