-- Purpose: what each block of a session measured with each registered program.
-- Grain: one row per trial and point.
-- Parameters: $1 the experiment, $2 the session.
select *
from speeds
where experiment = $1 and session = $2 and engine_binary is not null
order by block, started_at
