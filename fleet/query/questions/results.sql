-- Purpose: every cell as `fleet results` prints it.
-- Grain: one row per cell and point, newest session last.
-- Parameters: $1 the experiment, null for all.
select
  experiment, session, machine_id, machine, model, job, point, settings,
  prefill_tokens_per_s, prefill_note, decode_tokens_per_s, decode_note,
  naive_prefill_tokens_per_s, naive_decode_tokens_per_s,
  burst_decode_tokens_per_s, sustained_decode_tokens_per_s, throughput_tokens_per_s,
  prompt_tokens, output_tokens, first_token_ns, server_first_token_ns, load_ns,
  trials, requests, prefill_spread_percent, decode_spread_percent, flags, imported, last_trial_id,
  {pooling_key},
  model_format, quantization, bits_per_weight, runner,
  client_decode_tokens_per_s, decode_second_opinion,
  last_utc_offset_s, wall_clock(last_started_at, last_utc_offset_s) as last_at
from cells
where $1 is null or experiment = $1
order by experiment, session, machine, model, job, point, settings, flags, last_started_at
