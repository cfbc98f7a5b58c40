-- Purpose: are outputs equal that should be: temperature 0, same digest, engine, job, settings, seed
--   and prompt (the same nonce, or none)? With drafts they may differ all the same.
-- Grain: one row per question's model, digest, engine and settings, and pair of machines (a machine
--   with itself too) that answered the same prompt; one row without a pair where no prompt was
--   asked twice.
-- Parameters: $1 the experiment, $2 the job, null for all. Blank `prompt`: prompt_text.sql.
with kept as (
  select attempt_id, request, folder, true as has_text from answers
),
outputs as (
  select
    {'job': r.job, 'point': r.point, 'turn': r.turn, 'job_content': t.job_content,
     'model': r.model, 'digest': t.digest, 'engine': t.engine, 'settings': r.settings} as work,
    {'seed': r.seed, 'nonce': r.nonce, 'output_tokens': r.output_tokens_asked} as asked,
    r.machine_id, r.machine, r.output_sha256,
    count(*) as requests,
    arg_min(
      {'attempt_id': r.attempt_id, 'folder': r.folder, 'request': r.request,
       'engine_version': t.engine_version, 'mlx_library': t.mlx_library, 'drafts': t.drafts,
       'has_text': coalesce(k.has_text, false)},
      (not coalesce(k.has_text, false), r.block, r.request, r.attempt_id, r.folder)
    ) as example
  from requests_flagged r
  join attempts t using (attempt_id, folder)
  left join kept k using (attempt_id, request, folder)
  where not r.warmup
    and r.output_sha256 is not null  -- only an answer that ended has one
    and t.temperature = 0
    and coalesce(r.concurrency, 1) = 1  -- streams that share a batch may round otherwise
    and coalesce(t.role, 'measure') = 'measure'
    and ($1 is null or r.experiment = $1)
    and ($2 is null or r.job = $2)
  group by all
),
totals as (
  select
    work,
    sum(requests)::bigint as requests,
    count(distinct asked) as questions,
    list_sort(list_distinct(list(machine))) as machines
  from outputs
  group by work
),
repeated as (
  select work, count(*) as repeated
  from (select work, asked from outputs group by all having sum(requests) > 1)
  group by work
),
pairs as (
  select
    a.work, a.machine as left_machine, b.machine as right_machine,
    count(distinct a.asked) as compared,
    count(distinct a.asked) filter (a.output_sha256 <> b.output_sha256) as differing,
    arg_min(
      {'left': a.example, 'right': b.example},
      (not (a.example.has_text and b.example.has_text), a.asked)
    ) filter (a.output_sha256 <> b.output_sha256) as example
  from outputs a
  join outputs b
    on a.work = b.work and a.asked = b.asked
    and (a.machine, a.machine_id, a.output_sha256) <= (b.machine, b.machine_id, b.output_sha256)
  where a.machine_id <> b.machine_id or a.output_sha256 <> b.output_sha256 or a.requests > 1
  group by all
)
select * exclude (work), {prompt} as prompt
from (
  select
    work, unnest(work),
    requests, questions, machines, coalesce(repeated, 0) as repeated,
    left_machine, right_machine, compared, differing, example
  from totals
  left join repeated using (work)
  left join pairs using (work)
)
order by job, point, job_content, model, digest, engine, settings, left_machine, right_machine
