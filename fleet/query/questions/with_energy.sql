-- Purpose: the measured trials with what they cost in energy, as a source for `variants.sql`.
-- Grain: one row per trial, point and scope; a trial whose energy nobody read has one row, without
--        a scope. An energy that is not valid is null, and its note says why.
-- Parameters: none.
(
  select
    s.*,
    e.scope as energy_scope,
    e.method || ' (' || e.source || ')' as energy_source,
    -- What these tell is the chip's own estimate.
    case when e.scope in ('chip_package', 'cpu_package')
      then coalesce(s.chip, s.machine_id) end as energy_estimate,
    case when e.valid then e.joules_per_token end as joules_per_token,
    case when e.valid and e.net_joules_per_token > 0 then e.net_joules_per_token end
      as net_joules_per_token,
    case when e.valid then e.prefill_joules_per_token end as prefill_joules_per_token,
    case when e.valid then e.decode_joules_per_token end as decode_joules_per_token,
    case
      when e.scope is null then 'no energy was read'
      when not e.valid then 'energy not valid: ' || e.invalid
    end as energy_note,
    case
      when e.valid and e.idle_w is null then 'no idle power was read'
      when e.valid and e.net_joules_per_token <= 0 then 'no more power than at rest'
      else energy_note
    end as net_energy_note,
    case when e.valid and e.prefill_joules_per_token is null
      then coalesce('prefill energy not valid: ' || e.prefill_invalid, 'no prompt token to read')
      else energy_note end as prefill_energy_note,
    case when e.valid and e.decode_joules_per_token is null
      then coalesce('decode energy not valid: ' || e.decode_invalid, 'no token after the first')
      else energy_note end as decode_energy_note
  from all_speeds s
  left join energy e using (attempt_id, folder, point)
)
