-- Purpose: the views that define every speed; nothing else computes one.
-- Grain: named at each view.
-- Parameters: the Parquet files below, relative to the results folder.
-- Use: start DuckDB in the results folder, `duckdb -init views.sql`.
--
-- Durations are ns, rates tokens per second. Unknown is null. A request that failed has no rate.
-- What each metric and each flag means: `fleet metrics`.
-- flags_version:
--   1 (2026-11) first form
--   2 (2026-11) above_ceiling, unasked_thinking, not_reused; drifting, foreign_load,
--     condition_changed; a prompt sent twice is a cached prefix; throttled also over a whole point
--   3 (2026-11) gpu_slowed; clock: output without chunks before the first chunk is no disagreement
--   4 (2026-11) low_power, hot, memory_pressure, model_resident, clock_stepped; foreign_load also
--     by the GPU
--   5 (2026-11) cached_prefix and not_reused by what an engine says of its cache, where the
--     beginning that prompts share is no fault; above_ceiling, and no rate, also where no machine
--     is so fast; spilled: a mapped file that is counted twice is not; gpu_users; one token has no
--     rate; quick, whose answers need 16 tokens for a rate
--   6 (2026-12) MLX: its clocks hold a step more than llama.cpp's, so rates, the time to first token
--     and clock count other steps; drafts, whose chunks are no tokens; context and spilled are not
--     judged there; queued; client_decode_tokens_per_s, a second opinion; unchecked_version;
--     over_limit; reread

set parquet_metadata_cache = true;

-- What the clock on the machine's wall showed when a trial began; UTC where its zone is not known.
create or replace macro wall_clock(moment, offset_s) as
  make_timestamp(epoch_us(moment) + 1_000_000::bigint * coalesce(offset_s, 0));

-- What tells one measurement of an attempt from another, since the ids of attempts follow from what
-- was asked: two stores may hold two of them. Rows of an older fleet tell no submission; there it is
-- their content. The id of an imported attempt is made of its figures.
create or replace macro measurement_of(
  submission_id, imported, started_at, zero_unix_ns, zero_ns, duration_ns, machine
) as
  coalesce(
    submission_id,
    case
      when imported then ''
      else concat_ws(' ', epoch_us(started_at), zero_unix_ns, zero_ns, duration_ns, machine)
    end
  );

-- What is known of a model's weights, by the digest of its content: rows of an older fleet do not say
-- it, newer rows of the same model do.
create or replace view weights as
select
  digest,
  max(model_format) as model_format,
  max(quantization) as quantization,
  max(bits_per_weight) as bits_per_weight,
  -- Of a model for MLX alone: what llama-server drafts is asked of it by each trial.
  max(drafts) filter (model_format = 'safetensors') as drafts
from {trials}
where digest is not null
group by digest;

-- The attempts that MLX computed, which are those of its format, and those of llama-server that
-- were asked for drafts: their clocks or their chunks are unlike those of all others.
create or replace view unlike_attempts as
select
  t.attempt_id,
  t.folder,
  coalesce(coalesce(t.model_format, w.model_format) = 'safetensors', false) as mlx,
  coalesce(t.drafts, w.drafts) as drafts
from {trials} t
left join weights w using (digest)
where coalesce(t.model_format, w.model_format) = 'safetensors' or t.drafts = 'yes';

-- And which runner a version of an engine has for a format.
create or replace view runners as
select engine, engine_version, model_format, max(runner) as runner
from {trials}
where engine_version is not null and model_format is not null
group by all;

-- The rows of the table, each with what is known of its model. Fleet asks
-- llama-server for no drafts where an experiment does not.
create or replace view trials_told as
select
  t.* replace (
    coalesce(t.model_format, w.model_format) as model_format,
    coalesce(t.quantization, w.quantization) as quantization,
    coalesce(t.bits_per_weight, w.bits_per_weight) as bits_per_weight,
    coalesce(
      t.drafts, w.drafts, if(coalesce(t.model_format, w.model_format) = 'gguf', 'no', null)
    ) as drafts,
    coalesce(t.runner, u.runner) as runner,
    coalesce(t.measured_over, if(t.imported, null, 'local')) as measured_over
  ),
  coalesce(coalesce(t.model_format, w.model_format) = 'safetensors', false) as mlx
from {trials} t
left join weights w using (digest)
left join runners u
  on u.engine = t.engine and u.engine_version = t.engine_version
    and u.model_format = coalesce(t.model_format, w.model_format);

-- One row per attempt and measurement, failed ones too. A copy in another folder counts once.
create or replace view trials as
select * exclude (mlx), wall_clock(started_at, utc_offset_s) as started_local
from trials_told
qualify row_number() over (
  partition by attempt_id, measurement_of(
    submission_id, imported, started_at, zero_unix_ns, zero_ns, duration_ns, machine
  )
  order by started_at, folder
) = 1;

-- One row per trial and submission: its ok attempt with the lowest fence; attempts that a sleeping
-- machine or another context spoiled come after those that nothing spoiled. A trial measured again on
-- another digest, engine, hardware or GPU limit ({measured_again}) is other work and keeps its own
-- row; so does the same trial in another store that measured it too.
create or replace view attempts as
with older as (
  -- Tries at one trial in one folder by a fleet that told no submission: named by the first of them.
  select
    trial_id, folder,
    arg_min(
      measurement_of(
        submission_id, imported, started_at, zero_unix_ns, zero_ns, duration_ns, machine
      ),
      fence
    ) as measurement
  from {trials}
  where submission_id is null
  group by all
)
select
  t.*,
  wall_clock(started_at, utc_offset_s) as started_local,
  -- The two clocks that the sleep is read from are read one after the other: below 0.1 s is noise.
  coalesce(suspended_ns > 100_000_000, false) as suspended,
  -- MLX holds to no context length, and says there what a request asked for.
  not mlx and coalesce(context_length <> num_ctx, false) as wrong_context,
  -- Where the GPU holds as much as the whole file, and what is beside it is just as large as the
  -- file, the file is mapped and was counted a second time. MLX calls all of its memory the GPU's.
  if(mlx, null, coalesce(
    gpu is not null and placement_gpu_bytes < placement_size_bytes
      and not coalesce(
        placement_gpu_bytes >= model_size_bytes
          and abs(placement_size_bytes - placement_gpu_bytes - model_size_bytes)
            <= 0.02 * model_size_bytes,
        false
      ),
    false
  )) as spilled,
  -- Its weights fit when it was loaded; contexts and cached prompts came on top.
  coalesce(
    mlx and memory_after_bytes // 1048576
      > coalesce(gpu_limit_effective_mb, gpu_limit_mb, gpu_usable_mb, gpu_memory_mb),
    false
  ) as over_limit,
  coalesce(power_source = 'battery', false) as on_battery,
  coalesce(power_mode = 'low', false) as low_power,
  coalesce(gpu_slowed_before, false) or coalesce(thermal_class <> 'nominal', false) as hot,
  coalesce(memory_pressure <> 'normal', false) as under_pressure,
  coalesce(
    greatest(foreign_cpu_percent, foreign_cpu_after_percent, foreign_gpu_percent) > {busy_percent}, false
  ) as foreign_load,
  coalesce(resident_models, '') || coalesce(resident_models_after, '') <> '' as model_resident,
  -- Held by others: more than 1 GiB, or so much that the model does not fit beside it, which
  -- without them would.
  coalesce(
    greatest(foreign_gpu_memory_mb, foreign_gpu_memory_after_mb) > {most_others_mb}
      or model_size_bytes // 1048576 between
        coalesce(gpu_limit_mb, gpu_usable_mb, gpu_memory_mb) - foreign_gpu_memory_mb + 1
        and coalesce(gpu_limit_mb, gpu_usable_mb, gpu_memory_mb),
    false
  ) as gpu_users,
  coalesce(abs(clock_step_ns) > 1_000_000_000, false) as clock_stepped,
  coalesce(condition_after_id <> condition_id, false) as condition_changed,
  coalesce(gpu_slowdowns <> '', false) as gpu_slowed,
  coalesce(json_extract_string(job_content, '$.load') = 'request', false) as fresh_load
from trials_told t
left join older using (trial_id, folder)
where outcome = 'ok'
qualify row_number() over (
  partition by
    role, trial_id, {measured_again},
    coalesce(submission_id, measurement)
  order by suspended or wrong_context, fence, started_at, folder
) = 1;

-- One row per request of an attempt in `trials`.
create or replace view requests as
select r.* from {requests} r semi join trials t using (attempt_id, folder);

-- One row per look at a machine.
create or replace view fingerprints as
select r.* from {fingerprints} r semi join trials t using (attempt_id, folder);

-- One row per copy of an attempt, and the folder of the copy that counts.
create or replace view copies as
select
  attempt_id,
  folder,
  first_value(folder) over (
    partition by attempt_id, measurement_of(
      submission_id, imported, started_at, zero_unix_ns, zero_ns, duration_ns, machine
    )
    order by started_at, folder
  ) as counted_in
from {trials}
where {several_folders}
qualify counted_in <> folder;

-- One row per telemetry value. What lies beside a copy alone, as the log of a wall meter may, is of
-- the measurement all the same.
create or replace view readings as
select r.* from {readings} r semi join trials t using (attempt_id, folder)
union all by name
select distinct *
from (
  select r.* replace (c.counted_in as folder)
  from {readings} r
  join copies c using (attempt_id, folder)
)
anti join {readings} using (attempt_id, folder, metric, source);

-- One row per kept answer; that of a copy counts where the text was kept in the copy alone.
create or replace view answers as
select r.* from {answers} r semi join trials t using (attempt_id, folder)
union all by name
select distinct *
from (
  select r.* replace (c.counted_in as folder)
  from {answers} r
  join copies c using (attempt_id, folder)
)
anti join {answers} using (attempt_id, folder, request);

-- Two spans of time in ns that cannot be the same one.
create or replace macro disagree(one, other) as
  abs(one - other) > greatest(50_000_000, 0.10 * greatest(one, other));

-- Tokens that an engine may have in its cache of a prompt that no other request shares: its first
-- token, and words that two prompts begin with by chance.
create or replace macro shared_tokens() as {shared_tokens};

-- And of a chat, where the template's own words stand before those of the request.
create or replace macro template_tokens() as {template_tokens};

-- Output tokens that a rate needs; of a quick look, which is labelled, fewer.
create or replace macro least_output(most_output_ns) as
  case when most_output_ns is null then {least_output_tokens} else {quick_output_tokens} end;

-- One row per request, of superseded attempts too: what its own row tells of it.
create or replace view requests_judged as
with of_runner as (
  select
    r.*,
    coalesce(m.mlx, false) as mlx,
    coalesce(m.drafts = 'yes', false) as drafting,
    -- Steps of the model in the engine's output time. llama.cpp times the first token with the
    -- prompt; MLX times every token, and where the answer ended by itself the end as well. Of
    -- drafts there, whose steps nobody counts, the tokens.
    case
      when mlx and drafting then r.output_tokens
      when mlx then r.output_tokens + if(r.done_reason = 'stop', 1, 0)
      else r.output_tokens - 1
    end as output_steps
  from {requests} r
  left join unlike_attempts m using (attempt_id, folder)
),
looked_at as (
  select
    *,
    -- Only a request that we sent ourselves has a client's stamps.
    sent_ns is null as imported,
    prompt_tokens - coalesce(cached_tokens, reused_tokens, 0) as uncached_tokens,
    prompt_tokens - if(sent_ns is null, coalesce(cached_tokens, 0), 0) as naive_prompt_tokens,
    -- The cache is known to hold nothing of this prompt, or just what was sent before on purpose:
    -- the engine says so, or the prompt begins with words no other request has, or it is the
    -- first of its kind since the model was loaded.
    cached_tokens is not null
      or (sent_ns is not null and (coalesce(nonce, '') <> '' or coalesce(since_load = 0, false)))
      as cache_known,
    -- A rate of a prompt needs 512 tokens that were evaluated, but for those that any prompt shares.
    uncached_tokens >= {least_prompt_tokens}
      or coalesce(
        prompt_tokens - coalesce(reused_tokens, 0) >= {least_prompt_tokens}
          and cached_tokens - coalesce(reused_tokens, 0) <= shared_tokens(),
        false
      ) as long_prompt,
    -- A chat's template stands before the nonce: its head may be cached from the request before.
    coalesce(api = 'generate' or prompt_tokens_asked is not null, false)
      or cached_tokens is not null or coalesce(since_load = 0, false) as nothing_before_nonce,
    error is not null or error_reason is not null or output_tokens is null
      or (done_reason is null and sent_ns is not null) as aborted,
    coalesce(
      output_tokens_asked is not null
        and (output_tokens <> output_tokens_asked or done_reason <> 'length'),
      false
    ) as short,
    coalesce(prompt_tokens <> prompt_tokens_asked, false) as wrong_count,
    -- In a conversation of others a cached beginning is as it should be.
    coalesce(
      sent_ns is not null and cached_tokens > shared_tokens() + coalesce(
        reused_tokens,
        case when api = 'generate' or prompt_tokens_asked is not null then 0
          else template_tokens() end
      ),
      false
    )
      -- Sent before since the load, and the engine does not say that it was not reused.
      or coalesce(
        repeats_before > 0
          and coalesce(cached_tokens > shared_tokens() + coalesce(reused_tokens, 0), true),
        false
      )
      -- Four times faster than others of its length cannot be: it was not evaluated whole.
      or coalesce(
        prompt_tokens - coalesce(reused_tokens, 0) >= 64
          and 4 * prompt_duration_ns < sibling_prompt_ns,
        false
      ) as cached_prefix,
    -- New tokens behind a context that was to be reused, and nothing shows that it was.
    coalesce(
      depth_tokens > 0 and prompt_tokens_asked > depth_tokens
        and reused_tokens is null and cached_tokens is null,
      false
    )
      -- Or the engine says that it was not.
      or coalesce(depth_tokens > 0 and cached_tokens < 0.9 * nullif(reused_tokens, 0), false)
      as not_reused,
    -- The turn before ended in the words that ask for an answer, which the history may not hold.
    coalesce(cached_tokens < 0.9 * history_tokens - template_tokens(), false) as reread,
    -- Tokens that make no chunk may come before the first chunk: then the client saw a part of the
    -- output only, and the engine's whole time must fit into the client's. The first chunk of MLX
    -- ends the first of its steps; of drafts, whose first chunks come together, only the whole.
    case when mlx and not drafting
      then output_duration_ns - output_duration_ns // nullif(output_steps, 0)
      when not mlx then output_duration_ns end as seen_output_ns,
    coalesce(
      disagree(ended_ns - first_chunk_ns, seen_output_ns)
        and (ended_ns - first_chunk_ns > seen_output_ns or chunks = output_tokens)
      or disagree(
        ended_ns - sent_ns,
        greatest(
          ended_ns - sent_ns,
          coalesce(load_duration_ns, 0) + coalesce(prompt_duration_ns, 0) + output_duration_ns
        )
      ),
      false
    ) as wrong_clock,
    -- No machine writes an answer at 100,000 tokens per second, or reads a prompt at 10 million: such
    -- durations are in another unit than ns.
    coalesce(
      output_duration_ns > 0 and output_duration_ns < 10_000 * (output_tokens - 1), false
    ) as impossible_output,
    coalesce(
      prompt_duration_ns > 0 and prompt_duration_ns < 100 * (uncached_tokens - 1), false
    ) as impossible_prompt,
    -- No machine is faster than its memory. A tenth is left for what a table of bandwidths gets
    -- wrong.
    coalesce(
      1.1 * output_duration_ns < least_output_ns or 1.1 * prompt_duration_ns < least_prompt_ns,
      false
    ) or impossible_output or impossible_prompt as above_ceiling,
    coalesce(think = 'false' and first_thinking_ns is not null, false) as unasked_thinking,
    -- An answer below 5 s is slower at its end for other reasons than heat.
    coalesce(
      not drafting and ended_ns - first_chunk_ns >= 5_000_000_000 and chunks > 60
        and last_third_us > 1.10 * first_third_us,
      false
    ) as throttled,
    -- A chunk may hold several tokens.
    case when not drafting and chunks > 3 and output_tokens >= {least_output_tokens}
      then (output_tokens - 1) / (chunks - 1) * ((chunks - 1) // 3) end as tokens_of_a_third,
    -- Chunks are not tokens: only where each token came as a chunk of its own are gaps token
    -- latencies. Those of drafts come together.
    not drafting and chunks = output_tokens as each_token_seen
  from of_runner
)
select
  * exclude (
    nothing_before_nonce, naive_prompt_tokens, long_prompt, impossible_output,
    impossible_prompt, tokens_of_a_third, each_token_seen, mlx, drafting, output_steps,
    seen_output_ns
  ),
  not (aborted or short or wrong_count or cached_prefix or not_reused or wrong_clock
    or above_ceiling or unasked_thinking) as valid,
  -- A rate needs 128 output tokens (of a quick look 16), or 512 prompt tokens that no cache held.
  case when not aborted and not impossible_output and output_duration_ns > 0
      and output_tokens >= least_output(most_output_ns)
    then output_steps / (output_duration_ns / 1e9) end as decode_tokens_per_s,
  case when not aborted and not impossible_prompt and cache_known and nothing_before_nonce
      and long_prompt and prompt_duration_ns > 0
    -- MLX evaluates the last token of the prompt with the output.
    then (uncached_tokens - if(mlx, 1, 0)) / (prompt_duration_ns / 1e9) end
    as prefill_tokens_per_s,
  -- A second opinion, of the client's clock alone: from the first chunk to the last.
  case when not aborted and coalesce(concurrency, 1) = 1 and last_chunk_ns > first_chunk_ns
      and output_tokens >= least_output(most_output_ns)
      and (each_token_seen
        or not mlx and done_reason = 'stop' and chunks = output_tokens - 1)
    then (chunks - 1) / ((last_chunk_ns - first_chunk_ns) / 1e9) end
    as client_decode_tokens_per_s,
  case when drafting and not aborted and rounds > 1 then output_tokens / rounds end
    as tokens_per_round,
  case when drafting and not aborted and rounds > 20 then round_p50_us * 1000 end
    as round_p50_ns,
  case
    when not long_prompt then 'too short for a rate'
    when imported and turn > 0 then 'history in the prompt'
    when not cache_known then 'cache state unknown'
    when not nothing_before_nonce then 'template may be cached'
    when prompt_duration_ns > 0 then ''
    else 'not reported'
  end as prefill_note,
  case
    when output_tokens <= 1 then 'one token has no rate'
    when output_tokens < least_output(most_output_ns) then 'too short for a rate'
    when not impossible_output and output_duration_ns > 0 then ''
    else 'not reported'
  end as decode_note,
  -- As `ollama run --verbose` prints them; one token, timed with the prompt, has no rate. Since
  -- 0.33.3 it prints the prompt's rate without what was cached, and says how much that was.
  case when not aborted and not impossible_output and output_tokens > 1 and output_duration_ns > 0
    then output_tokens / (output_duration_ns / 1e9) end as naive_decode_tokens_per_s,
  case when not aborted and prompt_duration_ns > 0
      and uncached_tokens > 1 and prompt_duration_ns >= 100 * (naive_prompt_tokens - 1)
    then naive_prompt_tokens / (prompt_duration_ns / 1e9) end as naive_prefill_tokens_per_s,
  -- Of the first and the last third of the answer; chunks that a busy client took out of a buffer
  -- came faster than any machine writes.
  case when not aborted and first_third_us >= 10 * tokens_of_a_third
    then tokens_of_a_third / (first_third_us / 1e6) end as burst_decode_tokens_per_s,
  case when not aborted and last_third_us >= 10 * tokens_of_a_third
    then tokens_of_a_third / (last_third_us / 1e6) end as sustained_decode_tokens_per_s,
  -- Time to first token on the client's clock, by the engine's counters (where the wait to load
  -- counts), and how far the client's is from the one by the server's wall clock.
  case when not aborted then first_chunk_ns - sent_ns end as first_token_ns,
  case when not aborted then first_thinking_ns - sent_ns end as first_thinking_token_ns,
  case when not aborted then first_answer_ns - sent_ns end as first_answer_token_ns,
  case when not aborted
    then coalesce(load_duration_ns, 0) + prompt_duration_ns
      + case
        when not mlx then 0
        when drafting then output_duration_ns // nullif(rounds, 0)
        else output_duration_ns // nullif(output_steps, 0)
      end
    end as server_first_token_ns,
  case when not aborted
    then (first_chunk_ns - sent_ns)
      - (server_first_unix_ns - (server_final_unix_ns - total_duration_ns)) end
    as first_token_disagreement_ns,
  case when not aborted then ended_ns - sent_ns end as end_to_end_ns,
  sent_ns - due_ns as lateness_ns,
  -- A quantile needs ten gaps beyond it.
  case when not aborted and each_token_seen and chunks > 20
    then gap_p50_us * 1000 end as inter_token_p50_ns,
  case when not aborted and each_token_seen and chunks > 100
    then gap_p90_us * 1000 end as inter_token_p90_ns,
  case when not aborted and each_token_seen and chunks > 1000
    then gap_p99_us * 1000 end as inter_token_p99_ns
from looked_at;

-- One row per request of a measured trial, warm-ups too, with its flags and its rates.
-- Invalid: aborted, short, wrong_count, cached_prefix, not_reused, suspended, context, clock,
-- above_ceiling, unasked_thinking.
-- Qualified: throttled here; the others are of the whole trial.
create or replace view requests_flagged as
select
  r.* exclude (imported) replace (
    r.valid and not (t.suspended or t.wrong_context) as valid
  ),
  concat_ws(' ',
    case when aborted then 'aborted' end,
    case when short and not aborted then 'short' end,
    case when wrong_count then 'wrong_count' end,
    case when cached_prefix then 'cached_prefix' end,
    case when not_reused then 'not_reused' end,
    case when t.suspended then 'suspended' end,
    case when t.wrong_context then 'context' end,
    case when wrong_clock then 'clock' end,
    case when above_ceiling then 'above_ceiling' end,
    case when unasked_thinking then 'unasked_thinking' end
  ) as invalid,
  t.trial_id, t.experiment, t.session, t.machine_id, t.machine, t.model, t.job, t.settings,
  t.block, t.role,
  t.imported, t.suspended, t.wrong_context, t.spilled, t.on_battery, t.low_power, t.hot,
  t.under_pressure, t.foreign_load, t.model_resident, t.gpu_users, t.clock_stepped,
  t.condition_changed,
  t.gpu_slowed, t.cut,
  6 as flags_version
from requests_judged r
join attempts t using (attempt_id, folder);

-- One row per request that counts: warm-ups, canaries and invalid ones left out.
create or replace view clean as
select * from requests_flagged where valid and not warmup and coalesce(role, 'measure') = 'measure';

-- One row per attempt (of whatever role) and point, those without a valid request too: `silent`.
create or replace view all_trial_points as
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
    max(coalesce(concurrency, 1)) as concurrency,
    median(prefill_tokens_per_s) filter (valid) as prefill_tokens_per_s,
    median(decode_tokens_per_s) filter (valid) as decode_tokens_per_s,
    median(naive_prefill_tokens_per_s) filter (valid) as naive_prefill_tokens_per_s,
    median(naive_decode_tokens_per_s) filter (valid) as naive_decode_tokens_per_s,
    median(client_decode_tokens_per_s) filter (valid) as client_decode_tokens_per_s,
    median(last_chunk_ns - first_chunk_ns) filter (valid) as client_window_ns,
    median(tokens_per_round) filter (valid) as tokens_per_round,
    median(round_p50_ns) filter (valid) as round_p50_ns,
    -- The first third of the first answer, the last third of the last.
    arg_min(burst_decode_tokens_per_s, request) filter (valid) as burst_decode_tokens_per_s,
    arg_max(sustained_decode_tokens_per_s, request) filter (valid)
      as sustained_decode_tokens_per_s,
    median(first_token_ns) filter (valid) as first_token_ns,
    median(first_thinking_token_ns) filter (valid) as first_thinking_token_ns,
    median(first_answer_token_ns) filter (valid) as first_answer_token_ns,
    median(server_first_token_ns) filter (valid) as server_first_token_ns,
    median(first_token_disagreement_ns) filter (valid) as first_token_disagreement_ns,
    median(end_to_end_ns) filter (valid) as end_to_end_ns,
    median(inter_token_p50_ns) filter (valid) as inter_token_p50_ns,
    median(inter_token_p90_ns) filter (valid) as inter_token_p90_ns,
    median(inter_token_p99_ns) filter (valid) as inter_token_p99_ns,
    median(load_duration_ns) filter (valid) as request_load_ns,
    bool_or(most_output_ns is not null) as quick,
    max(lateness_ns) as most_lateness_ns,
    max(prefill_note) filter (valid) as point_prefill_note,
    bool_or(throttled) filter (valid) as request_throttled,
    coalesce(bool_or(reread) filter (valid), false) as reread,
    max(ended_ns) - min(sent_ns) as window_ns,
    sum(output_tokens) filter (valid) as window_tokens,
    -- Good: the first token within 2 s, the rest at 10 tokens per second or more.
    sum(output_tokens) filter (
      valid and first_token_ns <= {good_first_token_ns}
        and ended_ns - first_chunk_ns <= {good_gap_ns} * (output_tokens - 1)
    ) as good_tokens
  from requests_judged
  where not warmup
  group by all
)
select
  t.* exclude (
    load_ns, suspended, wrong_context, fresh_load, outcome, reason, detail, transient,
    condition_after
  ),
  p.* exclude (
    attempt_id, folder, request_load_ns, point_prefill_note, request_throttled, window_ns,
    window_tokens, good_tokens
  ) replace (
    case when t.suspended or t.wrong_context then 0 else p.requests end as requests,
    case when t.suspended or t.wrong_context then p.requests + p.requests_left_out
      else p.requests_left_out end as requests_left_out
  ),
  case when p.prefill_tokens_per_s is null then p.point_prefill_note else '' end as prefill_note,
  case
    when p.decode_tokens_per_s is not null then ''
    when p.output_tokens < (case when p.quick then {quick_output_tokens} else {least_output_tokens} end) then 'too short for a rate'
    else 'not reported'
  end as decode_note,
  -- Cold-load jobs load before each request: the engine's own time. Else the trial's one load.
  case when t.fresh_load then p.request_load_ns else t.load_ns end as load_ns,
  -- Of several streams together: tokens in the window over the window, from the first request
  -- sent to the last one ended. One request left out would leave its tokens out.
  case when p.concurrency > 1 and p.requests_left_out = 0
    then p.window_tokens / (p.window_ns / 1e9) end as throughput_tokens_per_s,
  case when p.requests_left_out = 0
    then coalesce(p.good_tokens, 0) / (p.window_ns / 1e9) end as goodput_tokens_per_s,
  -- Within one long answer, or over a minute of shorter ones.
  coalesce(
    p.request_throttled
      or (p.window_ns >= 60_000_000_000
        and p.burst_decode_tokens_per_s > 1.10 * p.sustained_decode_tokens_per_s),
    false
  ) as throttled,
  p.requests = 0 or t.suspended or t.wrong_context as silent
from points p
join attempts t using (attempt_id, folder);

-- One row per attempt (of whatever role) and point: medians over the point's valid requests.
create or replace view trial_points as
select * exclude (silent) from all_trial_points where not silent;

-- One row per canary: the same small trial before, between and after the blocks of a session.
create or replace view canaries as
select
  experiment, session, machine_id, machine, model, block, started_at, attempt_id,
  prefill_tokens_per_s, decode_tokens_per_s
from trial_points
where role = 'canary';

-- One row per session and machine: how far its canaries moved from the first to the last, by the
-- line through the logarithms of their speeds, and how closely the speeds keep to that line.
create or replace view drift as
select
  experiment, session, machine_id, machine,
  count(*) as canaries,
  corr(ln(decode_tokens_per_s), block) as correlation,
  exp(regr_slope(ln(decode_tokens_per_s), block) * (max(block) - min(block))) - 1 as change
from canaries
where decode_tokens_per_s > 0
group by all;

-- One row per trial of an A/A run and point: `fleet noise`.
create or replace view noise_trials as
select * from trial_points where role = 'noise';

-- Whether this fleet knows what the counters of an Ollama mean; an unknown version is no fault.
create or replace macro checked_version(version) as
  coalesce(
    1000 * try_cast(regexp_extract(version, '^(\d+)\.(\d+)', 1) as bigint)
      + try_cast(regexp_extract(version, '^(\d+)\.(\d+)', 2) as bigint)
      between {oldest_checked} and {newest_checked},
    version is null
  );

-- One row per measured trial and point, with the labels that keep it apart; `silent` where it has no
-- valid request. A session drifts on
-- a machine where four or more canaries follow their order, more closely than one in a hundred
-- sessions without a drift does (the correlation's bound for 4, 5, ... 13 of them), and move by
-- 3 % or more from the first to the last.
create or replace view all_speeds as
select
  * exclude (
    role, quick, reread, throttled, mlx, canary_log, canary_block, canaries, correlation, log_change
  ),
  concat_ws(' ',
    case when quick then 'quick' end,
    case when spilled then 'spilled' end,
    case when over_limit then 'over_limit' end,
    case when mlx and concurrency > 1 then 'queued' end,
    case when reread then 'reread' end,
    case when throttled then 'throttled' end,
    case when canaries >= {least_canaries} and abs(log_change) >= 0.03
        and abs(correlation) >= [
          0.990, 0.959, 0.917, 0.875, 0.834, 0.798, 0.765, 0.735, 0.708, 0.684
        ][least(canaries, 13) - 3]
      then 'drifting' end,
    case when engine = 'ollama' and not imported and not checked_version(engine_version)
      then 'unchecked_version' end,
    case when on_battery then 'on_battery' end,
    case when low_power then 'low_power' end,
    case when hot then 'hot' end,
    case when under_pressure then 'memory_pressure' end,
    case when foreign_load then 'foreign_load' end,
    case when model_resident then 'model_resident' end,
    case when gpu_users then 'gpu_users' end,
    case when clock_stepped then 'clock_stepped' end,
    case when condition_changed then 'condition_changed' end,
    case when gpu_slowed then 'gpu_slowed' end,
    case when cut then 'cut' end
  ) as flags,
  6 as flags_version
from (
  select
    *,
    case when role = 'canary' and not silent and decode_tokens_per_s > 0
      then ln(decode_tokens_per_s) end as canary_log,
    case when canary_log is not null then block end as canary_block,
    count(canary_log) over session_of_machine as canaries,
    corr(canary_log, canary_block) over session_of_machine as correlation,
    regr_slope(canary_log, canary_block) over session_of_machine
      * (max(canary_block) over session_of_machine - min(canary_block) over session_of_machine)
      as log_change
  from all_trial_points
  window session_of_machine as (partition by experiment, session, machine_id)
)
where coalesce(role, 'measure') = 'measure';

-- One row per measured trial and point that has a valid request.
create or replace view speeds as
select * exclude (silent) from all_speeds where not silent;

-- The client's rate against the engine's, medians of a cell: they may differ by 1 %, and by what
-- a millisecond of the client's clock is of the time from the first chunk to the last.
create or replace macro second_opinion(client_tokens_per_s, engine_tokens_per_s, window_ns) as
  case
    when abs(client_tokens_per_s / engine_tokens_per_s - 1) 
      <= {most_disagreement} + {client_clock_ns} / window_ns then ''
    else printf('client %.4g, engine %.4g tokens/s', client_tokens_per_s, engine_tokens_per_s)
  end;

-- One row per cell and point of one session: medians over its trials. What must not be pooled
-- (another digest, engine, hardware, system, GPU limit, flag, or drafts) makes a row of its own.
create or replace view cells as
select
  experiment, session, machine_id, machine, model, job, point, settings, {pooling_key}, flags,
  any_value(model_format) as model_format,
  any_value(quantization) as quantization,
  any_value(bits_per_weight) as bits_per_weight,
  any_value(runner) as runner,
  count(*) as trials,
  sum(requests)::bigint as requests,
  sum(requests_left_out)::bigint as requests_left_out,
  median(prompt_tokens) as prompt_tokens,
  median(output_tokens) as output_tokens,
  median(prefill_tokens_per_s) as prefill_tokens_per_s,
  median(decode_tokens_per_s) as decode_tokens_per_s,
  median(naive_prefill_tokens_per_s) as naive_prefill_tokens_per_s,
  median(naive_decode_tokens_per_s) as naive_decode_tokens_per_s,
  median(client_decode_tokens_per_s) as client_decode_tokens_per_s,
  -- Empty where they agree; null where there is nothing to compare.
  second_opinion(
    median(client_decode_tokens_per_s), median(decode_tokens_per_s), median(client_window_ns)
  ) as decode_second_opinion,
  median(tokens_per_round) as tokens_per_round,
  median(round_p50_ns) as round_p50_ns,
  median(burst_decode_tokens_per_s) as burst_decode_tokens_per_s,
  median(sustained_decode_tokens_per_s) as sustained_decode_tokens_per_s,
  median(throughput_tokens_per_s) as throughput_tokens_per_s,
  median(goodput_tokens_per_s) as goodput_tokens_per_s,
  median(first_token_ns) as first_token_ns,
  median(first_thinking_token_ns) as first_thinking_token_ns,
  median(first_answer_token_ns) as first_answer_token_ns,
  median(server_first_token_ns) as server_first_token_ns,
  median(first_token_disagreement_ns) as first_token_disagreement_ns,
  median(inter_token_p50_ns) as inter_token_p50_ns,
  median(inter_token_p90_ns) as inter_token_p90_ns,
  median(inter_token_p99_ns) as inter_token_p99_ns,
  median(end_to_end_ns) as end_to_end_ns,
  median(load_ns) as load_ns,
  max(most_lateness_ns) as most_lateness_ns,
  -- Standard deviation between trials, in per cent of their mean.
  100 * stddev_samp(prefill_tokens_per_s) / avg(prefill_tokens_per_s) as prefill_spread_percent,
  100 * stddev_samp(decode_tokens_per_s) / avg(decode_tokens_per_s) as decode_spread_percent,
  max(prefill_note) as prefill_note,
  max(decode_note) as decode_note,
  max(started_at) as last_started_at,
  arg_max(trial_id, (started_at, trial_id)) as last_trial_id,
  arg_max(coalesce(utc_offset_s, 0), (started_at, trial_id)) as last_utc_offset_s,
  bool_or(imported) as imported,
  6 as flags_version
from speeds
group by all;
