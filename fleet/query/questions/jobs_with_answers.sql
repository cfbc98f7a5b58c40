-- Purpose: the jobs of which answers were kept.
-- Grain: one row per job.
-- Parameters: $1 the experiment, $2 the job, null for all.
select distinct job
from attempts
semi join answers using (attempt_id, folder)
where ($1 is null or experiment = $1) and ($2 is null or job = $2)
order by job
