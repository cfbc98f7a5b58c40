-- Purpose: the requests of one counted attempt with their flags, and the naive rates beside ours.
-- Grain: one row per request, warm-ups too.
-- Parameters: $1 the attempt id, $2 its folder.
select * exclude (chunk_gaps_us, folder, flags_version)
from requests_flagged
where attempt_id = $1 and folder = $2
order by request
