-- Purpose: the kept texts of some attempts, all in one look at the files.
-- Grain: one row per request whose text was kept.
-- Parameters: $1 a list of attempt ids.
select attempt_id, folder, request, answer, thinking
from answers
where attempt_id in (select unnest($1::varchar[]))
