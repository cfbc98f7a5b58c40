-- Purpose: when the trials of one machine ran, for the log of a wall meter.
-- Grain: one row per attempt, in order of time.
-- Parameters: $1 the machine's name.
select
  t.attempt_id, t.submission_id, t.trial_id,
  t.zero_unix_ns, t.zero_unix_ns + t.duration_ns as end_unix_ns, t.utc_offset_s,
  any_value(r.source) as meter
from trials t
left join readings r
  on t.attempt_id = r.attempt_id and t.folder = r.folder and starts_with(r.metric, 'wall_')
where t.machine = $1 and not coalesce(t.imported, false)
group by all
order by t.zero_unix_ns
