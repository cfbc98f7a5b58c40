-- Purpose: every machine on which trials of one kind of engine were measured.
-- Grain: one row per machine_id.
-- Parameters: $1 the experiment, $2 the kind of engine, $3 the session.
select
  machine_id,
  arg_max(machine, started_at) as machine,
  max(started_at)::varchar as last_seen,
  bool_or(experiment = $1) as of_experiment,
  bool_or(experiment = $1 and coalesce(session, 0) = $3) as of_session
from trials
where engine = $2 and not imported
group by machine_id
order by machine_id
