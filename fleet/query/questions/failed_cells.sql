-- Purpose: the cells of which no trial went well, so that nothing of them is in the view `speeds`.
-- Grain: one row per cell.
-- Parameters: {where} a clause over the columns of `trials`, with its own `?` parameters.
select
  experiment, session, machine_id, machine, model, job, null as point, settings,
  count(distinct trial_id) as trials,
  string_agg(distinct reason, ', ' order by reason) as reasons
from trials
where coalesce(role, 'measure') = 'measure' and {where}
group by all
having not bool_or(outcome = 'ok')
order by all
