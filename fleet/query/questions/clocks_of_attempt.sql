-- Purpose: where the client's clock and the engine's counters disagree on decode, in one attempt.
-- Grain: one row per such point.
-- Parameters: $1 the attempt id, $2 its folder.
select
  point,
  second_opinion(
    median(client_decode_tokens_per_s), median(decode_tokens_per_s),
    median(last_chunk_ns - first_chunk_ns)
  ) as rates
from requests_flagged
where attempt_id = $1 and folder = $2 and valid and not warmup
group by point
having rates <> ''
order by point
