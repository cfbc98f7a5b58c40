-- Purpose: what requests, and the points of a trial, cost in energy; the same for every source.
-- Grain: named at each view.
-- Parameters: none. Read after views.sql: uses its views readings and requests_flagged.
--
-- Energy is the difference of a total-energy counter where there is one, else the integral of
-- power. Nothing is taken from a nameplate; a zero is a value missing. `scope` says what was
-- measured: gpu_board, chip_package (CPU, GPU, Neural Engine), cpu_package, system (behind the
-- power supply), wall. Joules of unlike scopes are never to be compared.
-- energy_version 1 (2026-11).

-- One row per reading of energy or power that another one follows: what was used between the two.
create or replace view energy_steps as
with found as (
  select
    attempt_id, folder, source, offset_ns, value,
    regexp_extract(metric, '^(.*)_(energy_joules|power_w)$', 1) as scope,
    case when suffix(metric, '_power_w') then 'power' else 'counter' end as method
  from readings
  where value > 0 and regexp_full_match(
    metric, '(gpu_board|chip_package|cpu_package|system|wall)_(energy_joules|power_w)'
  )
)
select
  *,
  lead(value) over series as next_value,
  lead(offset_ns) over series as next_ns,
  next_ns - offset_ns as gap_ns,
  -- Between two readings of power: the mean of both (trapezoid).
  case method when 'counter' then next_value - value
    else (value + next_value) / 2 * (gap_ns / 1e9) end as joules,
  -- Of the counter, over three steps before and after this one: a single one is as uncertain as
  -- the time of its readings.
  (value - first_value(value) over before)
    / nullif(offset_ns - first_value(offset_ns) over before, 0) as rate_before,
  (last_value(value) over after - next_value)
    / nullif(last_value(offset_ns) over after - next_ns, 0) as rate_after
from found
window
  series as (partition by attempt_id, folder, scope, method, source order by offset_ns),
  before as (series rows between 3 preceding and current row),
  after as (series rows between 1 following and 4 following)
qualify gap_ns is not null;

-- Why the energy of a window is not valid; empty where it is.
create or replace macro energy_fault(seconds, covered_s, gap_ns, samples, least_step, joules) as
  concat_ws(' ',
    case when covered_s is null or covered_s < {covered_share} * seconds then 'uncovered' end,
    case when gap_ns > greatest({most_gap_ns}, {most_gap_share_ns} * seconds) then 'gap' end,
    case when samples < {least_readings} then 'few_readings' end,
    case when least_step < 0 then 'counter_reset' end,
    case when joules is null then 'zero' end
  );

-- One row per request and scope; requests that are asked at once are one row together. Warm-ups
-- and invalid requests too, see `request_valid`. Prefill is from sent to the first chunk (with the
-- load, where each request loads), decode from there to the end.
-- `valid`: the readings cover 98 % of it (their mean stands for the rest), at least 10 of them,
-- without a gap above 2 s (or 5 % of it, if that is more); `invalid` says what is not so. A value
-- that is not valid is kept.
create or replace view energy_of_requests as
with asked as not materialized (
  select
    attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job, settings,
    block, role, point, warmup,
    case when coalesce(concurrency, 1) = 1 then request end as alone,
    min(request) as request,
    count(*) as requests,
    bool_and(valid) as request_valid,
    sum(uncached_tokens) as uncached_tokens,
    sum(output_tokens) as output_tokens,
    min(sent_ns) as sent_ns,
    case when count(*) = 1 then min(first_chunk_ns) end as first_chunk_ns,
    max(ended_ns) as ended_ns
  from requests_flagged
  where not coalesce(imported, false)
  group by all
),
windows as (
  select
    attempt_id, folder, request,
    unnest(case when first_chunk_ns is null
      then [{phase: 'whole', begin_ns: sent_ns, end_ns: ended_ns}]
      else [
        {phase: 'prefill', begin_ns: sent_ns, end_ns: first_chunk_ns},
        {phase: 'decode', begin_ns: first_chunk_ns, end_ns: ended_ns}
      ] end, recursive := true)
  from asked
  union all
  select attempt_id, folder, null, 'idle', offset_ns, offset_ns + (value * 1e9)::bigint
  from readings where metric = 'idle_window_s'
),
parts as (
  select
    w.*, s.scope, s.method, s.source, s.gap_ns, s.offset_ns, s.next_ns, s.joules as step_joules,
    greatest(begin_ns, offset_ns) - offset_ns as from_ns,
    least(end_ns, next_ns) - offset_ns as until_ns,
    -- Power changes where the phase does (at the idle window's ends it need not). So a step of
    -- the counter that holds the edge of a phase is shared in the proportion of the rates before
    -- and after it, in time where those are not known; and a reading of power counts up to the
    -- edge of the phase that it lies in.
    if(phase = 'idle', null, rate_before) as before,
    if(phase = 'idle', null, rate_after) as after,
    coalesce(before * until_ns / nullif(before * until_ns + after * (gap_ns - until_ns), 0),
      until_ns / gap_ns) as share_until,
    coalesce(before * from_ns / nullif(before * from_ns + after * (gap_ns - from_ns), 0),
      from_ns / gap_ns) as share_from,
    case
      when method = 'counter' then step_joules * (share_until - share_from)
      when from_ns > 0 and until_ns = gap_ns then s.next_value * (until_ns - from_ns) / 1e9
      when from_ns = 0 and until_ns < gap_ns then s.value * (until_ns - from_ns) / 1e9
      else step_joules * (until_ns - from_ns) / gap_ns
    end as part_joules
  from windows w
  join energy_steps s
    on w.attempt_id = s.attempt_id and w.folder = s.folder
    and s.next_ns > w.begin_ns and s.offset_ns < w.end_ns
),
used as (
  select
    attempt_id, folder, request, scope, method, source,
    sum(until_ns - from_ns) / 1e9 as covered_s,
    sum(until_ns - from_ns) filter (phase = 'prefill') / 1e9 as prefill_covered_s,
    sum(until_ns - from_ns) filter (phase = 'decode') / 1e9 as decode_covered_s,
    sum(part_joules) as covered_joules,
    sum(part_joules) filter (phase = 'prefill') as prefill_covered_joules,
    sum(part_joules) filter (phase = 'decode') as decode_covered_joules,
    count(*) filter (offset_ns >= begin_ns) as samples,
    count(*) filter (offset_ns >= begin_ns and phase = 'prefill') as prefill_samples,
    count(*) filter (offset_ns >= begin_ns and phase = 'decode') as decode_samples,
    max(gap_ns) as greatest_gap_ns,
    max(gap_ns) filter (phase = 'prefill') as prefill_gap_ns,
    max(gap_ns) filter (phase = 'decode') as decode_gap_ns,
    min(step_joules) as least_step,
    -- The idle window has a row of its own, of no request.
    max(case when request is null and samples >= 3 and least_step >= 0
      then covered_joules / covered_s end)
      over (partition by attempt_id, folder, scope, method, source) as idle_w
  from parts
  group by attempt_id, folder, request, scope, method, source
),
priced as (
  select
    a.*, u.* exclude (attempt_id, folder, request),
    (ended_ns - sent_ns) / 1e9 as seconds,
    (first_chunk_ns - sent_ns) / 1e9 as prefill_s,
    (ended_ns - first_chunk_ns) / 1e9 as decode_s,
    -- Where readings end a little short, the mean of those there stands for the rest.
    if(covered_joules > 0, covered_joules * (seconds / covered_s), null) as joules,
    if(prefill_covered_joules > 0,
      prefill_covered_joules * (prefill_s / prefill_covered_s), null) as prefill_joules,
    if(decode_covered_joules > 0,
      decode_covered_joules * (decode_s / decode_covered_s), null) as decode_joules,
    energy_fault(seconds, covered_s, greatest_gap_ns, samples, least_step, joules) as invalid
  from asked a
  join used u using (attempt_id, folder, request)
)
select
  attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job, settings,
  block, role, point, warmup, request, requests, request_valid, uncached_tokens, output_tokens,
  scope, source, method,
  joules, seconds, prefill_joules, decode_joules, idle_w,
  joules / seconds as mean_w,
  -- All that the request used over the tokens it wrote, its prompt's part too.
  joules / nullif(output_tokens, 0) as joules_per_token,
  output_tokens / joules as tokens_per_joule,
  prefill_joules / nullif(uncached_tokens, 0) as prefill_joules_per_token,
  -- N output tokens take N - 1 steps after the first chunk.
  decode_joules / nullif(output_tokens - 1, 0) as decode_joules_per_token,
  -- What was used beyond idling for as long.
  (joules - idle_w * seconds) / nullif(output_tokens, 0) as net_joules_per_token,
  samples, greatest_gap_ns,
  invalid = '' as valid,
  invalid,
  -- Requests that are asked at once have no phases.
  if(prefill_s is null, 'no_phase', energy_fault(
    prefill_s, prefill_covered_s, prefill_gap_ns, prefill_samples, least_step, prefill_joules
  )) as prefill_invalid,
  if(decode_s is null, 'no_phase', energy_fault(
    decode_s, decode_covered_s, decode_gap_ns, decode_samples, least_step, decode_joules
  )) as decode_invalid,
  prefill_invalid = '' as prefill_valid,
  decode_invalid = '' as decode_valid,
  1 as energy_version
from priced
qualify row_number() over (
  partition by attempt_id, folder, request, scope order by invalid <> '', method, source
) = 1;

-- One row per trial (of whatever role), point and scope: medians over the valid requests that were
-- no warm-ups.
--   source, method             whose readings; counter: difference of a total, power: its integral
--   valid, invalid             false: no request's energy is valid, the values are those of the
--                              others; invalid: what was wrong with those left out
--   requests, _left_out        whose energy is valid, and whose is not
--   prefill_, decode_invalid   what is wrong with the phases that are left out
--   joules, prefill_, decode_  of one request; a phase too short for its readings is null
--   joules_per_token           all that the request used over the tokens it wrote
--   tokens_per_joule           its inverse
--   prefill_, decode_joules_per_token   of the phase's own tokens
--   net_joules_per_token       beyond what the machine draws at rest for as long
--   mean_w, idle_w             while asked; at rest, before the load
--   least_samples, greatest_gap_ns      the fewest readings in a request, the longest gap
create or replace view energy as
with counted as (
  select
    *,
    bool_or(valid) over (partition by attempt_id, folder, point, scope) as any_valid,
    valid or not any_valid as taken
  from energy_of_requests
  where request_valid and not warmup
)
select
  attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job, settings,
  block, role, point, scope,
  string_agg(distinct source, ', ' order by source) filter (taken) as source,
  string_agg(distinct method, ', ' order by method) filter (taken) as method,
  any_value(any_valid) as valid,
  string_agg(distinct nullif(invalid, ''), ' ') filter (not valid) as invalid,
  string_agg(distinct nullif(prefill_invalid, ''), ' ') filter (taken) as prefill_invalid,
  string_agg(distinct nullif(decode_invalid, ''), ' ') filter (taken) as decode_invalid,
  count(*) filter (valid) as requests,
  count(*) filter (not valid) as requests_left_out,
  median(joules) filter (taken) as joules,
  median(prefill_joules) filter (taken and prefill_valid) as prefill_joules,
  median(decode_joules) filter (taken and decode_valid) as decode_joules,
  median(idle_w) filter (taken) as idle_w,
  median(mean_w) filter (taken) as mean_w,
  median(joules_per_token) filter (taken) as joules_per_token,
  median(tokens_per_joule) filter (taken) as tokens_per_joule,
  median(prefill_joules_per_token) filter (taken and prefill_valid) as prefill_joules_per_token,
  median(decode_joules_per_token) filter (taken and decode_valid) as decode_joules_per_token,
  median(net_joules_per_token) filter (taken) as net_joules_per_token,
  min(samples) filter (taken) as least_samples,
  max(greatest_gap_ns) filter (taken) as greatest_gap_ns,
  1 as energy_version
from counted
group by attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job,
  settings, block, role, point, scope;
