-- Purpose: every cell as `fleet results` prints it.
-- Grain: one row per cell and point, newest session last.
-- Parameters: $1 the experiment, null for all.
select *, wall_clock(last_started_at, last_utc_offset_s) as last_at
from cells
where $1 is null or experiment = $1
order by experiment, session, machine, model, job, point, settings, flags, last_started_at
