-- Purpose: what each cell and point costs in energy.
-- Grain: one row per cell, point and scope; medians over its trials. Trials whose energy is not
--        valid make a row of their own.
-- Parameters: $1 the experiment, null for all.
select
  experiment, session, machine, model, job, point, settings, scope, source, method, valid,
  string_agg(distinct invalid, ' ') as invalid,
  count(*) as trials,
  median(joules_per_token) as joules_per_token,
  median(tokens_per_joule) as tokens_per_joule,
  median(prefill_joules_per_token) as prefill_joules_per_token,
  median(decode_joules_per_token) as decode_joules_per_token,
  median(net_joules_per_token) as net_joules_per_token,
  median(mean_w) as mean_w,
  median(idle_w) as idle_w,
  max(greatest_gap_ns) as greatest_gap_ns
from energy
where role = 'measure' and ($1 is null or experiment = $1)
group by all
order by all
