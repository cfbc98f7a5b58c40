-- Purpose: the kept answers to set side by side, with the times of the very request.
-- Grain: one row per question (job, point, content), model, engine, settings and machine: the first
--   measured request of the session measured last, so that all machines show the same request.
-- Parameters: $1 the experiment, $2 the job, null for all.
with kept as (
  select attempt_id, request, folder from answers
),
asked as (
  select
    r.*, t.digest, t.engine, t.job_content, t.think,
    max(t.started_at) over (partition by r.experiment, r.session) as session_at
  from requests_flagged r
  semi join kept using (attempt_id, request, folder)
  join attempts t using (attempt_id, folder)
  where not r.warmup
    and coalesce(t.role, 'measure') = 'measure'
    and ($1 is null or r.experiment = $1)
    and ($2 is null or r.job = $2)
),
first as (
  select *
  from asked
  qualify row_number() over (
    partition by point, job_content, job, model, digest, engine, settings, machine_id
    order by session_at desc, block, request, folder
  ) = 1
)
select
  f.job, f.point, json_extract_string(f.job_content, '$.prompt') as prompt,
  f.model, f.digest, f.engine, f.settings, f.think, f.machine_id, f.machine,
  f.trial_id, f.request,
  a.answer, a.thinking,
  f.output_tokens, f.output_tokens_asked, f.done_reason, f.output_sha256,
  f.ended_ns - f.sent_ns as total_ns,
  f.load_duration_ns as load_ns,
  f.first_token_ns,
  f.first_answer_ns - f.sent_ns as first_answer_token_ns,
  f.decode_tokens_per_s,
  -- An answer that ends of its own will is short of the budget, and no worse for that.
  trim(replace(' ' || f.invalid || ' ', ' short ', ' ')) as flags
from first f
join answers a using (attempt_id, request, folder)
order by f.job, f.point, prompt, f.model, f.settings, f.digest, f.machine
