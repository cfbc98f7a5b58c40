-- Purpose: the views that define every speed; nothing else computes one.
-- Grain: named at each view.
-- Parameters: the Parquet files below, relative to the results folder.
-- Use: start DuckDB in the results folder, `duckdb -init views.sql`.
--
-- Durations are ns, rates tokens per second. Unknown is null. A request that failed has no rate.
-- flags_version 1 (2026-11): the flags as computed in `requests_flagged` and `speeds`.

set parquet_metadata_cache = true;

-- One row per attempt, failed ones too. An attempt found in two folders counts once.
create or replace view trials as
select *
from {trials}
qualify row_number() over (partition by attempt_id order by folder) = 1;

-- One row per trial: its ok attempt with the lowest fence; attempts that a sleeping machine or
-- another context spoiled come after those that nothing spoiled. A trial measured again on
-- another digest, engine, hardware or GPU limit is other work and keeps its own row.
create or replace view attempts as
select
  *,
  -- The two clocks that the sleep is read from are read one after the other: below 0.1 s is noise.
  coalesce(suspended_ns > 100_000_000, false) as suspended,
  coalesce(context_length <> num_ctx, false) as wrong_context,
  coalesce(gpu is not null and placement_gpu_bytes < placement_size_bytes, false) as spilled,
  coalesce(power_source = 'battery', false) as on_battery,
  coalesce(json_extract_string(job_content, '$.load') = 'request', false) as fresh_load
from {trials}
where outcome = 'ok'
qualify row_number() over (
  partition by trial_id, digest, engine_version, engine_environment, hardware_id, gpu_limit_mb
  order by suspended or wrong_context, fence, folder
) = 1;

-- One row per request of an attempt in `trials`.
create or replace view requests as
select r.* from {requests} r semi join trials t using (attempt_id, folder);

-- One row per telemetry value, look at a machine, kept answer.
create or replace view readings as
select r.* from {readings} r semi join trials t using (attempt_id, folder);
create or replace view fingerprints as
select r.* from {fingerprints} r semi join trials t using (attempt_id, folder);
create or replace view answers as
select r.* from {answers} r semi join trials t using (attempt_id, folder);

-- One row per request of a measured trial, warm-ups too, with its flags and its rates.
-- Invalid: aborted, short, wrong_count, cached_prefix, suspended, wrong_context, wrong_clock.
-- Qualified: throttled here; spilled, on_battery and cut are of the whole trial.
create or replace view requests_flagged as
with joined as (
  select
    r.*,
    t.trial_id, t.experiment, t.session, t.machine_id, t.machine, t.model, t.job, t.settings,
    t.block,
    t.imported, t.suspended, t.wrong_context, t.spilled, t.on_battery, t.cut,
    prompt_tokens - coalesce(cached_tokens, 0) as uncached_tokens,
    -- The cache is known to hold nothing of this prompt: the engine says so, or the prompt
    -- begins with words no other request has, or the model was loaded for it alone.
    not coalesce(t.imported, false) and coalesce(
      cached_tokens = 0, coalesce(nonce, '') <> '' or t.fresh_load
    ) as uncached,
    ended_ns - first_chunk_ns as client_output_ns
  from (
    select
      *,
      -- Mean gap of the last third over that of the first third of the gaps. Computed at the
      -- files: the gaps are long, and no row of them need travel further.
      coalesce(
        ended_ns - first_chunk_ns >= 5_000_000_000 and len(chunk_gaps_us) >= 60
          and list_sum(chunk_gaps_us[-(len(chunk_gaps_us) // 3):])
            > 1.10 * list_sum(chunk_gaps_us[:len(chunk_gaps_us) // 3]),
        false
      ) as throttled
    from {requests}
  ) r
  join attempts t using (attempt_id, folder)
),
flagged as (
  select
    *,
    error is not null or error_reason is not null or output_tokens is null
      or (done_reason is null and not coalesce(imported, false)) as aborted,
    coalesce(
      output_tokens_asked is not null
        and (output_tokens <> output_tokens_asked or done_reason <> 'length'),
      false
    ) as short,
    coalesce(prompt_tokens <> prompt_tokens_asked, false) as wrong_count,
    coalesce(cached_tokens > 0, false) as cached_prefix,
    coalesce(
      abs(client_output_ns - output_duration_ns) > 50_000_000
        and abs(client_output_ns - output_duration_ns)
          > 0.10 * greatest(client_output_ns, output_duration_ns),
      false
    ) as wrong_clock
  from joined
)
select
  *,
  not (aborted or short or wrong_count or cached_prefix or suspended or wrong_context
    or wrong_clock) as valid,
  concat_ws(' ',
    case when aborted then 'aborted' end,
    case when short and not aborted then 'short' end,
    case when wrong_count then 'wrong_count' end,
    case when cached_prefix then 'cached_prefix' end,
    case when suspended then 'suspended' end,
    case when wrong_context then 'context' end,
    case when wrong_clock then 'clock' end
  ) as invalid,
  -- llama.cpp times the first output token with the prompt: N tokens take N - 1 steps.
  -- A rate needs 128 output tokens, or 512 prompt tokens that no cache held.
  case when not aborted and output_tokens >= 128 and output_duration_ns > 0
    then (output_tokens - 1) / (output_duration_ns / 1e9) end as decode_tokens_per_s,
  case when not aborted and uncached and uncached_tokens >= 512 and prompt_duration_ns > 0
    then uncached_tokens / (prompt_duration_ns / 1e9) end as prefill_tokens_per_s,
  -- As `ollama run --verbose` prints them.
  case when not aborted and output_duration_ns > 0
    then output_tokens / (output_duration_ns / 1e9) end as naive_decode_tokens_per_s,
  case when not aborted and prompt_duration_ns > 0
    then prompt_tokens / (prompt_duration_ns / 1e9) end as naive_prefill_tokens_per_s,
  -- Time to first token: on the client's clock, and on the server's, where the wait to load counts.
  case when not aborted then first_chunk_ns - sent_ns end as first_token_ns,
  case when not aborted
    then coalesce(load_duration_ns, 0) + prompt_duration_ns end as server_first_token_ns,
  1 as flags_version
from flagged;

-- One row per request that counts: warm-ups and invalid ones left out.
create or replace view clean as
select * from requests_flagged where valid and not warmup;

-- One row per trial and point: medians over the point's valid requests.
create or replace view speeds as
with points as (
  select
    attempt_id,
    folder,
    point,
    count(*) filter (valid) as requests,
    count(*) filter (not valid) as requests_left_out,
    median(prompt_tokens) filter (valid) as prompt_tokens,
    median(output_tokens) filter (valid) as output_tokens,
    max(depth_tokens) as depth_tokens,
    median(prefill_tokens_per_s) filter (valid) as prefill_tokens_per_s,
    median(decode_tokens_per_s) filter (valid) as decode_tokens_per_s,
    median(naive_prefill_tokens_per_s) filter (valid) as naive_prefill_tokens_per_s,
    median(naive_decode_tokens_per_s) filter (valid) as naive_decode_tokens_per_s,
    median(len(chunk_gaps_us) // 3 * 1e6 / nullif(first_third_us, 0)) filter (valid)
      as burst_decode_tokens_per_s,
    median(len(chunk_gaps_us) // 3 * 1e6 / nullif(last_third_us, 0)) filter (valid)
      as sustained_decode_tokens_per_s,
    median(first_token_ns) filter (valid) as first_token_ns,
    median(server_first_token_ns) filter (valid) as server_first_token_ns,
    median(load_duration_ns) filter (valid) as request_load_ns,
    bool_and(uncached) filter (valid) as uncached,
    max(uncached_tokens) filter (valid) as most_uncached_tokens,
    bool_or(throttled) filter (valid) as throttled
  from requests_flagged
  where not warmup
  group by all
  having count(*) filter (valid) > 0
)
select
  t.* exclude (load_ns, suspended, wrong_context, fresh_load, outcome, reason, detail, transient),
  p.* exclude (attempt_id, folder, request_load_ns, uncached, most_uncached_tokens),
  case
    when p.prefill_tokens_per_s is not null then ''
    when not p.uncached then 'cache state unknown'
    when p.most_uncached_tokens < 512 then 'too short for a rate'
    else 'not reported'
  end as prefill_note,
  case
    when p.decode_tokens_per_s is not null then ''
    when p.output_tokens < 128 then 'too short for a rate'
    else 'not reported'
  end as decode_note,
  -- Cold-load jobs load before each request: the engine's own time. Else the trial's one load.
  case when t.fresh_load then p.request_load_ns else t.load_ns end as load_ns,
  concat_ws(' ',
    case when t.spilled then 'spilled' end,
    case when p.throttled then 'throttled' end,
    case when t.on_battery then 'on_battery' end,
    case when t.cut then 'cut' end
  ) as flags,
  1 as flags_version
from points p
join attempts t using (attempt_id, folder);

-- One row per cell and point of one session: medians over its trials. What must not be pooled
-- (another digest, engine version or flag) makes a row of its own.
create or replace view cells as
select
  experiment, session, machine_id, machine, model, digest, job, point, settings,
  engine, engine_version, flags,
  count(*) as trials,
  sum(requests)::bigint as requests,
  sum(requests_left_out)::bigint as requests_left_out,
  median(prompt_tokens) as prompt_tokens,
  median(output_tokens) as output_tokens,
  median(prefill_tokens_per_s) as prefill_tokens_per_s,
  median(decode_tokens_per_s) as decode_tokens_per_s,
  median(naive_prefill_tokens_per_s) as naive_prefill_tokens_per_s,
  median(naive_decode_tokens_per_s) as naive_decode_tokens_per_s,
  median(first_token_ns) as first_token_ns,
  median(server_first_token_ns) as server_first_token_ns,
  median(load_ns) as load_ns,
  -- Standard deviation between trials, in per cent of their mean.
  100 * stddev_samp(prefill_tokens_per_s) / avg(prefill_tokens_per_s) as prefill_spread_percent,
  100 * stddev_samp(decode_tokens_per_s) / avg(decode_tokens_per_s) as decode_spread_percent,
  max(prefill_note) as prefill_note,
  max(decode_note) as decode_note,
  max(started_at) as last_started_at,
  arg_max(trial_id, (started_at, trial_id)) as last_trial_id,
  bool_or(imported) as imported,
  1 as flags_version
from speeds
group by all;
