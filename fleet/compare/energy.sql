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
  qualify row_number() over (
    partition by attempt_id, folder, metric, source, offset_ns order by value desc
  ) = 1
),
pairs as (
  select
    *,
    lead(value) over series as next_value,
    lead(offset_ns) over series as next_ns,
    next_ns - offset_ns as gap_ns,
    -- Between two readings of power: the mean of both (trapezoid).
    case method when 'counter' then next_value - value
      else (value + next_value) / 2 * (gap_ns / 1e9) end as joules
  from found
  window series as (partition by attempt_id, folder, scope, method, source order by offset_ns)
)
select
  *,
  lag(joules / gap_ns) over series as rate_before,
  lead(joules / gap_ns) over series as rate_after
from pairs
where gap_ns is not null
window series as (partition by attempt_id, folder, scope, method, source order by offset_ns);

-- One row per request and scope; requests that are asked at once are one row together. Warm-ups
-- and invalid requests too, see `request_valid`. Prefill is from sent to the first chunk (with the
-- load, where each request loads), decode from there to the end.
-- `valid`: the readings cover 98 % of it (their mean stands for the rest), at least 10 of them,
-- without a gap above 2 s (or 5 % of it, if that is more); `invalid` says what is not so. A value
-- that is not valid is kept.
create or replace view energy_of_requests as
with asked as (
  select
    attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job, settings,
    block, point, warmup,
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
  select attempt_id, folder, request, 'whole' as phase, sent_ns as begin_ns, ended_ns as end_ns
  from asked
  union all
  select attempt_id, folder, request, 'prefill', sent_ns, first_chunk_ns
  from asked where first_chunk_ns is not null
  union all
  select attempt_id, folder, request, 'decode', first_chunk_ns, ended_ns
  from asked where first_chunk_ns is not null
  union all
  select attempt_id, folder, null, 'idle', offset_ns, offset_ns + (value * 1e9)::bigint
  from readings where metric = 'idle_window_s'
),
parts as (
  select
    w.*, s.scope, s.method, s.source, s.gap_ns, s.offset_ns, s.next_ns, s.joules as step_joules,
    greatest(begin_ns, offset_ns) - offset_ns as from_ns,
    least(end_ns, next_ns) - offset_ns as until_ns,
    -- Power changes where the phase does. So a step of the counter that holds the edge of a phase
    -- is shared in the proportion of the rates before and after it, in time where those are not
    -- known; and a reading of power counts up to the edge of the phase that it lies in.
    coalesce(
      rate_before * until_ns / nullif(rate_before * until_ns + rate_after * (gap_ns - until_ns), 0),
      until_ns / gap_ns
    ) as share_until,
    coalesce(
      rate_before * from_ns / nullif(rate_before * from_ns + rate_after * (gap_ns - from_ns), 0),
      from_ns / gap_ns
    ) as share_from,
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
    attempt_id, folder, request, phase, scope, method, source,
    any_value(end_ns - begin_ns) / 1e9 as seconds,
    sum(until_ns - from_ns) / 1e9 as covered_seconds,
    sum(part_joules) as covered_joules,
    case when covered_joules > 0 then covered_joules * (seconds / covered_seconds) end as joules,
    max(gap_ns) as greatest_gap_ns,
    count(*) filter (offset_ns >= begin_ns) as samples,
    concat_ws(' ',
      case when covered_seconds < seconds * if(phase = 'idle', 0.5, 0.98) then 'uncovered' end,
      case when max(gap_ns) > greatest(2e9, 0.05 * any_value(end_ns - begin_ns)) then 'gap' end,
      case when samples < if(phase = 'idle', 3, 10) then 'few_readings' end,
      case when min(step_joules) < 0 then 'counter_reset' end,
      case when joules is null then 'zero' end
    ) as invalid
  from parts
  group by attempt_id, folder, request, phase, scope, method, source
),
phases as (
  select
    attempt_id, folder, request, scope, method, source,
    max(joules) filter (phase = 'whole') as joules,
    max(seconds) filter (phase = 'whole') as seconds,
    max(joules) filter (phase = 'prefill') as prefill_joules,
    max(joules) filter (phase = 'decode') as decode_joules,
    max(greatest_gap_ns) filter (phase = 'whole') as greatest_gap_ns,
    max(samples) filter (phase = 'whole') as samples,
    max(invalid) filter (phase = 'whole') as invalid,
    coalesce(max(invalid) filter (phase = 'prefill') = '', false) as prefill_valid,
    coalesce(max(invalid) filter (phase = 'decode') = '', false) as decode_valid
  from used
  where phase <> 'idle'
  group by all
),
idle as (
  select attempt_id, folder, scope, method, source, joules / seconds as idle_w
  from used
  where phase = 'idle' and invalid = ''
)
select
  a.* exclude (alone, sent_ns, first_chunk_ns, ended_ns),
  p.scope, p.source, p.method,
  p.joules, p.seconds, p.prefill_joules, p.decode_joules,
  i.idle_w,
  p.joules / p.seconds as mean_w,
  -- All that the request used over the tokens it wrote, its prompt's part too.
  p.joules / nullif(a.output_tokens, 0) as joules_per_token,
  a.output_tokens / p.joules as tokens_per_joule,
  p.prefill_joules / nullif(a.uncached_tokens, 0) as prefill_joules_per_token,
  -- N output tokens take N - 1 steps after the first chunk.
  p.decode_joules / nullif(a.output_tokens - 1, 0) as decode_joules_per_token,
  -- What was used beyond idling for as long.
  (p.joules - i.idle_w * p.seconds) / nullif(a.output_tokens, 0) as net_joules_per_token,
  p.samples, p.greatest_gap_ns,
  p.invalid = '' as valid, p.invalid, p.prefill_valid, p.decode_valid,
  1 as energy_version
from asked a
join phases p using (attempt_id, folder, request)
left join idle i using (attempt_id, folder, scope, method, source)
qualify row_number() over (
  partition by attempt_id, folder, request, scope order by p.invalid <> '', method, source
) = 1;

-- One row per trial, point and scope: medians over the valid requests that were no warm-ups.
-- `requests_left_out` counts those whose energy is not valid; `valid` is false where no other is
-- left, and the values are then those of the invalid ones.
create or replace view energy as
with counted as (
  select *, bool_or(valid) over (partition by attempt_id, folder, point, scope) as any_valid
  from energy_of_requests
  where request_valid and not warmup
)
select
  attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job, settings,
  block, point, scope,
  string_agg(distinct source, ', ' order by source) as source,
  string_agg(distinct method, ', ' order by method) as method,
  any_value(any_valid) as valid,
  string_agg(distinct nullif(invalid, ''), ' ') filter (not valid) as invalid,
  count(*) filter (valid) as requests,
  count(*) filter (not valid) as requests_left_out,
  median(joules) as joules,
  median(prefill_joules) filter (prefill_valid) as prefill_joules,
  median(decode_joules) filter (decode_valid) as decode_joules,
  median(idle_w) as idle_w,
  median(mean_w) as mean_w,
  median(joules_per_token) as joules_per_token,
  median(tokens_per_joule) as tokens_per_joule,
  median(prefill_joules_per_token) filter (prefill_valid) as prefill_joules_per_token,
  median(decode_joules_per_token) filter (decode_valid) as decode_joules_per_token,
  median(net_joules_per_token) as net_joules_per_token,
  min(samples) as least_samples,
  max(greatest_gap_ns) as greatest_gap_ns,
  1 as energy_version
from counted
where valid or not any_valid
group by attempt_id, folder, trial_id, experiment, session, machine_id, machine, model, job,
  settings, block, point, scope;
