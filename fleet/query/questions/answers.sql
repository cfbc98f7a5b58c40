-- Purpose: the kept answers to set side by side, with the times of the very request.
-- Grain: one row per question (job, point, content), model, engine, settings and machine: the first
--   measured request of the session measured last, so that all machines show the same request.
--   Imported ones are of whatever job: what they answer is known by their prompt alone.
-- Parameters: $1 the experiment, $2 the job, null for all. Blank `prompt`: prompt_text.sql.
with kept as (
  select attempt_id, request, folder from answers
),
asked as (
  select
    r.attempt_id, r.request, r.folder, r.trial_id, r.block,
    r.job, r.point, r.turn, t.job_content,
    r.model, t.digest, t.engine, r.settings, t.think, r.machine_id, r.machine,
    r.output_tokens, r.output_tokens_asked, r.done_reason, r.invalid,
    coalesce(r.ended_ns - r.sent_ns, r.total_duration_ns) as total_ns,
    coalesce(t.imported, false) as imported, t.source,
    r.load_duration_ns as load_ns,
    r.first_token_ns,
    r.first_answer_token_ns,
    r.decode_tokens_per_s,
    max(t.started_at) over (partition by r.experiment, r.session) as session_at
  from requests_flagged r
  semi join kept using (attempt_id, request, folder)
  join attempts t using (attempt_id, folder)
  where not r.warmup
    and coalesce(t.role, 'measure') = 'measure'
    and ($1 is null or r.experiment = $1)
    and ($2 is null or r.job = $2 or t.imported)
),
first as (
  select *
  from asked
  qualify row_number() over (
    partition by job, point, job_content, model, digest, engine, settings, machine_id
    order by session_at desc, block, request, folder
  ) = 1
)
select
  first.* exclude (invalid),
  {prompt} as prompt,
  -- An answer that ends of its own will is short of the budget, and no worse for that.
  trim(replace(' ' || invalid || ' ', ' short ', ' ')) as flags,
  answer,
  thinking
from first
join answers using (attempt_id, request, folder)
order by job, point, prompt, model, settings, digest, machine
