-- Purpose: every attempt at the trials whose id begins so, the counted ones first, the newest of them
--   before the others.
-- Grain: one row per attempt.
-- Parameters: $1 how the trial id begins, with or without `trial-`.
select
  t.* exclude (started_local) replace (t.started_local as started_at),
  a.attempt_id is not null as counted
from trials t
left join attempts a using (attempt_id, folder)
where starts_with(t.trial_id, $1) or starts_with(t.trial_id, 'trial-' || $1)
order by t.trial_id, counted desc, t.started_at desc, t.fence desc
