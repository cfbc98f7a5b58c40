-- Purpose: the kept text of one request.
-- Grain: one row, or none where it was not kept.
-- Parameters: $1 the attempt id, $2 the number of the request.
select answer, thinking
from answers
where attempt_id = $1 and request = $2
