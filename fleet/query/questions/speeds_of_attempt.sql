-- Purpose: what a trial gave, as soon as it is stored: the medians that its cell is made of.
-- Grain: one row per point.
-- Parameters: none: the views hold one attempt.
with requests as (
  select
    point,
    count(*) filter (not valid) as left_out,
    string_agg(distinct nullif(invalid, ''), ' ') as invalid
  from requests_flagged
  where not warmup
  group by point
)
select
  point, job, prefill_tokens_per_s, decode_tokens_per_s, throughput_tokens_per_s, left_out, invalid
from requests
left join trial_points using (point)
