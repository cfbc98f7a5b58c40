-- Purpose: the trials of A/A runs, from which the noise floor of each machine follows.
-- Grain: one row per trial and point; medians over the point's valid requests.
-- Parameters: none.
with noise_trials as (
  select
    t.experiment, t.session, t.machine_id, t.machine, t.model, t.digest, t.engine_version,
    t.job, r.point, t.settings, t.block, t.position, t.side, t.started_at,
    median(r.prefill_tokens_per_s) as prefill_tokens_per_s,
    median(r.decode_tokens_per_s) as decode_tokens_per_s
  from requests_flagged r
  join attempts t using (attempt_id, folder)
  where t.role = 'noise' and r.valid and not r.warmup
  group by all
)
select * from noise_trials
order by started_at, machine_id, point, position
