-- Purpose: what is reported of each request, for `fleet selftest` to hold against the truth.
-- Grain: one row per request of every attempt, warm-ups and those of failed attempts too.
-- Parameters: none.
-- A request of an attempt that failed has no rates; its error is what is reported of it.
select
  t.machine,
  r.request,
  t.zero_ns + r.sent_ns as sent_ns,
  r.nonce,
  r.warmup,
  trim(concat_ws(' ',
    f.invalid,
    case when f.attempt_id is null and r.error is not null then 'aborted' end,
    case when f.spilled then 'spilled' end,
    case when f.throttled then 'throttled' end,
    case when f.on_battery then 'on_battery' end,
    case when f.low_power then 'low_power' end,
    case when f.hot then 'hot' end,
    case when f.under_pressure then 'memory_pressure' end,
    case when f.foreign_load then 'foreign_load' end,
    case when f.model_resident then 'model_resident' end,
    case when f.gpu_users then 'gpu_users' end,
    case when f.clock_stepped then 'clock_stepped' end,
    case when f.condition_changed then 'condition_changed' end,
    case when f.gpu_slowed then 'gpu_slowed' end,
    case when f.cut then 'cut' end
  )) as flags,
  f.decode_tokens_per_s,
  f.prefill_tokens_per_s,
  f.first_token_ns,
  -- The same by the client's clock alone.
  (f.output_tokens - 1) / ((f.last_chunk_ns - f.first_chunk_ns) / 1e9)
    as client_decode_tokens_per_s,
  f.prompt_tokens / ((f.first_token_ns - f.load_duration_ns) / 1e9)
    as client_prefill_tokens_per_s,
  f.load_duration_ns,
  f.inter_token_p50_ns,
  f.inter_token_p90_ns,
  f.inter_token_p99_ns
from requests r
join trials t using (attempt_id, folder)
left join requests_flagged f using (attempt_id, folder, request)
order by t.machine, sent_ns
