-- Purpose: how many measured requests were left out, and by which flag.
-- Grain: one row per cell, point and flag; a request with two flags counts in both.
-- Parameters: $1 the experiment, null for all.
with flags as (
  select
    experiment, session, machine_id, machine, model, job, point, settings, trial_id,
    unnest(string_split(invalid, ' ')) as flag
  from requests_flagged
  where not valid and not warmup and coalesce(role, 'measure') = 'measure'
    and ($1 is null or experiment = $1)
)
select * exclude (trial_id), count(*) as requests, max(trial_id) as trial_id
from flags
group by all
order by all
