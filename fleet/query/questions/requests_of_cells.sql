-- Purpose: what became of every request of a measured trial: valid, left out by its flags, or a warm-up.
-- Grain: one row per cell, point, warmup and set of flags; each request is in one row.
-- Parameters: $1 the experiment, null for all.
select
  experiment, session, machine_id, machine, model, job, point, settings,
  warmup,
  case when warmup then '' else invalid end as flags,
  count(*) as requests,
  max(trial_id) as trial_id
from requests_flagged
where coalesce(role, 'measure') = 'measure' and ($1 is null or experiment = $1)
group by all
order by all
