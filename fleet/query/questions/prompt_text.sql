-- Purpose: the text that was asked: of the turn of a conversation, the point, or the job; null for
--   a prompt of an exact length.
-- Grain: an expression over one request joined with its trial.
-- Parameters: none; reads turn, point and job_content.
coalesce(
  json_extract_string(job_content, '$.turns[' || turn || ']'),
  list_filter(
    from_json(json_extract(job_content, '$.points'), '[{"label": "VARCHAR", "prompt": "VARCHAR"}]'),
    lambda each: each.label = point
  )[1].prompt,
  json_extract_string(job_content, '$.prompt')
)
