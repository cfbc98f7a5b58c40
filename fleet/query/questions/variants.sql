-- Purpose: the measured trials, ready to be set side by side; of `silent` ones no request is valid.
-- Grain: one row per everything that must not be mixed on one side: cell, session, every fact that
--        may differ, the pooling key, flags. The lists hold one value per trial, in one order. What
--        was asked is in `settings`, so the columns of each setting are not read.
-- Parameters: axis, metrics as SQL, facts and the pooling key as columns, {where} a clause with its own `?` parameters; source: the
--             view all_speeds, or `with_energy.sql`, and then energy: what tells its kinds apart; clocks:
--             the second opinion on decode, where that is asked about.
select
  {axis} as axis_value,
  model, job, point, machine_id, machine, settings,
  think,
  experiment, session, {facts},
  flags, imported, silent,{energy}{clocks}
  count(*) as trials,
  min(started_at)::timestamp as first_at,
  max(started_at)::timestamp as last_at,
  sum(requests_left_out)::bigint as requests_left_out,
  -- Share of the model outside the GPU's memory: why a side is slow.
  median(1 - placement_gpu_bytes / placement_size_bytes) as cpu_share,
  list(block) as blocks,
  list(coalesce(submission_id, '')) as submissions,
  list(prompt_tokens) as prompt_tokens,
  list(output_tokens) as output_tokens,
  {metrics}
from {source}
where {where}
group by all
order by all
