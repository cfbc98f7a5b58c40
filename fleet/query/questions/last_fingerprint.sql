-- Purpose: what one machine was when it was last measured.
-- Grain: at most one row, of the latest attempt that has a fingerprint.
-- Parameters: $1 the machine id.
select
  f.recipe,
  f.hardware_id,
  f.software_id,
  f.facts,
  t.started_local::varchar as seen_at
from fingerprints f
join trials t using (attempt_id, folder)
where f.machine_id = $1 and not t.imported
order by t.started_at desc, f.attempt_id
limit 1
