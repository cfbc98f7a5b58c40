-- Purpose: the requests of an attempt that does not count: what was sent and came, without rates.
-- Grain: one row per request, warm-ups too.
-- Parameters: $1 the attempt id, $2 its folder.
select * exclude (chunk_gaps_us, folder), false as valid
from requests
where attempt_id = $1 and folder = $2
order by request
