-- Purpose: models that a machine had no memory for at all, so that no speed of theirs is known.
-- Grain: one row per machine and model.
-- Parameters: $1 the experiment, null for all.
select machine, model, count(*) as trials
from trials
where ($1 is null or experiment = $1)
group by machine_id, machine, model
having bool_and(outcome = 'failed' and reason = 'out_of_memory')
order by model, machine
