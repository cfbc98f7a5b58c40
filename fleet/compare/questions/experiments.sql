-- Purpose: what the results folder holds.
-- Grain: one row per experiment.
-- Parameters: none.
select
  experiment,
  count(distinct session) as sessions,
  count(distinct trial_id) filter (outcome = 'ok') as trials,
  count(distinct trial_id) filter (outcome = 'failed') as failed,
  count(distinct machine_id) as machines,
  list_sort(list(distinct model)) as models,
  min(started_at)::timestamp as first_at,
  max(started_at)::timestamp as last_at,
  max_by(why, started_at) as why
from trials
where attempt_id is not null
group by experiment
order by last_at desc nulls last, experiment
