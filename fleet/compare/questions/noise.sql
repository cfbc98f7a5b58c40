-- Purpose: the trials of A/A runs, from which the noise floor of each machine follows.
-- Grain: one row per trial and point; medians over the point's valid requests.
-- Parameters: none.
select
  experiment, session, machine_id, machine, model, digest, engine_version, job, point, settings,
  block, position, side, started_at, prefill_tokens_per_s, decode_tokens_per_s
from noise_trials
order by started_at, machine_id, point, position
