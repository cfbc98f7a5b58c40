-- Purpose: how many measured requests were left out, and by which flag.
-- Grain: one row per cell, point and flag; a request with two flags counts in both.
-- Parameters: $1 the experiment, null for all.
select
  experiment, session, machine_id, machine, model, job, point, settings,
  unnest(string_split(invalid, ' ')) as flag,
  count(*) as requests,
  max(trial_id) as trial_id
from requests_flagged
where not valid and not warmup and ($1 is null or experiment = $1)
group by all
order by all
