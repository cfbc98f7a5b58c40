-- Purpose: the trials of A/A runs, from which the noise floor of each machine follows.
-- Grain: one row per trial and point; medians over the point's valid requests.
-- Parameters: none.
select
  experiment, session, machine_id, machine, model, digest, engine_version, job, point, settings,
  block, coalesce(submission_id, '') as submission, position, side, started_at, prefill_tokens_per_s, decode_tokens_per_s,
  -- Beside cells that were measured: the control of an experiment, no run by itself.
  experiment in (select experiment from raw_trials where coalesce(role, 'measure') = 'measure')
    as control
from noise_trials
order by started_at, machine_id, point, position
