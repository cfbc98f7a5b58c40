-- Purpose: what was read during one attempt, in short.
-- Grain: one row per metric and source. A metric that could not be told has a row with its reason
--        as the source, and no values.
-- Parameters: $1 the attempt id, $2 its folder.
select
  metric, source,
  count(value) as values,
  count(*) - count(value) as gaps,
  min(value) as least,
  median(value) as median,
  max(value) as most
from readings
where attempt_id = $1 and folder = $2
group by metric, source
order by metric, source
