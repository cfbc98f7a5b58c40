"""A trial result as rows of the five tables: every column of the schema, null where unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from fleet.identity import canonical_json
from fleet.model.gates import FOREIGN_MEMORY, others_gpu_mb
from fleet.model.machine import CONDITION, FactValue, Fingerprint
from fleet.model.measure import Placement, Reading, RequestRecord, TrialResult
from fleet.model.runners import MLX, runner_of
from fleet.model.settings import SETTINGS
from fleet.model.trial import show_settings
from fleet.runner.cache_columns import cache_columns
from fleet.runner.slowdowns import gpu_slowdowns
from fleet.store.codec import Row
from fleet.store.request_rows import request_row, think_word
from fleet.store.schema import FINGERPRINTS, TABLES, TRIALS

MOST_INTEGER = 2**63
"""What is absurd as an integer of 64 bits is null there, and kept in the JSON of the facts."""

TRIAL_FACTS = (
    "chip",
    "gpu",
    "gpu_cores",
    "memory_gb",
    "gpu_limit_mb",
    "gpu_memory_mb",
    "os",
    "os_version",
    "os_build",
    "gpu_driver",
    "kernel",
    "power_source",
    "power_mode",
    "thermal_class",
)
TRIAL_ONLY_FACTS = (
    *("memory_bandwidth_gb_s", "memory_pressure", "foreign_cpu_percent", "foreign_gpu_percent"),
    *("resident_models", "gpu_usable_mb", "gpu_limit_conflict", "measured_over", "round_trip_ns"),
)
MLX_FACTS = ("mlx_version", "mlx_device", "mlx_library")
AFTER = (
    *("condition_after_id", "condition_after"),
    *("foreign_cpu_after_percent", "resident_models_after", "foreign_gpu_memory_after_mb"),
)
FINGERPRINT_FACTS = (*TRIAL_FACTS, "model", "cpu_cores", "wired_limit_mb")


def rows_of(result: TrialResult) -> dict[str, list[Row]]:
    """Rows per table, `trials` last."""
    attempt_id = result.attempt_id
    rows: dict[str, list[Row]] = {
        "requests": [
            {**request_row(attempt_id, result.trial.job.api, record), **cache}
            for record, cache in zip(result.requests, cache_columns(result), strict=True)
        ],
        "readings": [_reading(attempt_id, reading) for reading in result.readings],
        "fingerprints": [_fingerprint(result, content) for content in _known(result.fingerprint)],
        "answers": list(_answers(attempt_id, result.requests)),
        "trials": [_trial(result)],
    }
    submission = {"submission_id": result.submission_id}
    return {table: [{**row, **submission} for row in content] for table, content in rows.items()}


def blank(table: str) -> Row:
    """Return a row of which nothing is known."""
    return dict.fromkeys(TABLES[table].names)


def started_at(unix_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_ns // 1000)


def _trial(result: TrialResult) -> Row:
    return {
        **_asked(result),
        **_found(result),
        **_course(result),
        **_gates(result),
        "gpu_slowed_before": _fitting(_fact(result, "gpu_slowed"), pa.bool_()),
        **_hashes(result.fingerprint),
        **_facts(result.fingerprint, (*TRIAL_FACTS, *TRIAL_ONLY_FACTS), TRIALS),
        **_after(result.fingerprint_after),
        "imported": False,
        "source": None,
    }


def _asked(result: TrialResult) -> Row:
    trial = result.trial
    settings = {
        name: _fitting(trial.settings.get(name), TRIALS.field(name).type) for name in SETTINGS
    }
    return {
        "attempt_id": result.attempt_id,
        "trial_id": trial.trial_id,
        "fence": result.fence,
        "session": trial.session,
        "experiment": trial.experiment,
        "machine_id": trial.machine_id,
        "machine": trial.machine,
        "model": trial.model,
        "job": trial.job.name,
        "job_content": canonical_json(trial.job.content()),
        "engine": trial.engine.kind,
        "block": trial.block,
        "position": trial.position,
        "seed": trial.seed,
        "cut": trial.cut,
        "settings": show_settings(trial.settings),
        **settings,
        "think": think_word(trial.job.think if result.think is None else result.think),
        "why": trial.why or None,
        "role": trial.role,
        "side": trial.side or None,
    }


def _found(result: TrialResult) -> Row:
    placement = result.placement or Placement()
    return {
        "digest": result.digest,
        "model_size_bytes": result.model_size_bytes,
        "engine_version": result.engine_version,
        "engine_sha256": result.engine_sha256,
        "engine_environment": canonical_json(result.engine_environment),
        "context_length": placement.context_length,
        "placement_size_bytes": placement.size_bytes,
        "placement_gpu_bytes": placement.gpu_bytes,
        "memory_after_bytes": result.memory_after_bytes,
        "load_ns": result.load_ns,
        "active_bytes": result.active_bytes,
        **_weights(result),
        "cooled_ns": result.cooled_ns,
        "engine_restarted": result.engine_restarted,
        "wired_limit_applied_mb": result.wired_limit_applied_mb,
        "gpu_limit_effective_mb": result.gpu_limit_effective_mb,
        "engine_environment_applied": canonical_json(result.engine_environment_applied),
    }


def _weights(result: TrialResult) -> Row:
    """How the model is stored and what ran it. MLX is told of by the log once it has begun."""
    engine, version = result.trial.engine.kind, result.engine_version
    runner = runner_of(engine, version, result.model_format)
    looks = (result.fingerprint_after, result.fingerprint)
    mlx = [look for look in looks if look is not None] if runner == MLX else []
    return {
        "model_format": result.model_format,
        "quantization": result.quantization,
        "bits_per_weight": result.bits_per_weight,
        "runner": runner,
        "drafts": result.drafts,
        **{name: _first_known(mlx, name) for name in MLX_FACTS},
        # The log tells it of the last load: before the trial that was another one.
        "draft_acceptance": _first_known(
            mlx[:1] if result.drafts == "yes" and result.fingerprint_after else (),
            "draft_acceptance",
        ),
    }


def _first_known(looks: Iterable[Fingerprint], name: str) -> FactValue:
    values = (_fitting(look.get(name), TRIALS.field(name).type) for look in looks)
    return next((value for value in values if value is not None), None)


def _course(result: TrialResult) -> Row:
    return {
        "outcome": result.outcome,
        "reason": result.reason or None,
        "detail": result.detail or None,
        "transient": result.transient,
        "suspended_ns": result.suspended_ns,
        "gpu_slowdowns": gpu_slowdowns(result),
        "started_at": started_at(result.zero_unix_ns),
        "utc_offset_s": result.utc_offset_s,
        "zero_unix_ns": result.zero_unix_ns,
        "zero_ns": result.zero_ns,
        "duration_ns": result.duration_ns,
        "fleet_version": result.fleet_version,
    }


def _gates(result: TrialResult) -> Row:
    return {
        "gates": result.trial.gates.policy,
        "gates_held_ns": result.gates_held_ns,
        "gates_closed": _listed(result.gates_closed),
        "gates_closed_after": _listed(result.gates_closed_after),
        "gates_unverified": _listed(result.gates_unverified),
        "clock_step_ns": result.clock_step_ns,
        "models_unloaded": ", ".join(result.models_unloaded) or None,
        "foreign_gpu_memory_mb": others_gpu_mb(result.fingerprint) if result.fingerprint else None,
    }


def _listed(words: Sequence[str] | None) -> str | None:
    return None if words is None else "; ".join(words)


def _reading(attempt_id: str, reading: Reading) -> Row:
    return {
        "attempt_id": attempt_id,
        "offset_ns": reading.offset_ns,
        "metric": reading.metric,
        "source": reading.source,
        "value": _finite(reading.value),
    }


def _fingerprint(result: TrialResult, fingerprint: Fingerprint) -> Row:
    facts: dict[str, object] = {}
    for fact in fingerprint.facts:  # the first of a name counts, as in Fingerprint.get
        entry = {"value": _finite(fact.value), "source": fact.source}
        facts.setdefault(fact.name, entry | ({"absent": True} if fact.absent else {}))
    return {
        "attempt_id": result.attempt_id,
        "machine_id": result.trial.machine_id,
        "machine": result.trial.machine,
        **_hashes(fingerprint),
        "recipe": fingerprint.recipe,
        **_facts(fingerprint, FINGERPRINT_FACTS, FINGERPRINTS),
        "facts": canonical_json(facts),
    }


def _answers(attempt_id: str, records: Iterable[RequestRecord]) -> Iterable[Row]:
    """One row for each request whose text was kept."""
    for record in records:
        if record.reply.text is not None or record.reply.thinking is not None:
            yield {
                **blank("answers"),
                "attempt_id": attempt_id,
                "request": record.index,
                "answer": record.reply.text,
                "thinking": record.reply.thinking,
            }


def _known(fingerprint: Fingerprint | None) -> tuple[Fingerprint, ...]:
    return () if fingerprint is None else (fingerprint,)


def _hashes(fingerprint: Fingerprint | None) -> Row:
    names = ("hardware_id", "software_id", "condition_id")
    return {name: getattr(fingerprint, name, None) for name in names}


def _after(fingerprint: Fingerprint | None) -> Row:
    """Return the condition of the machine when all was restored."""
    if fingerprint is None:
        return dict.fromkeys(AFTER)
    condition = {
        fact.name: _finite(fact.value) for fact in fingerprint.facts if fact.name in CONDITION
    }
    return {
        "condition_after_id": fingerprint.condition_id,
        "condition_after": canonical_json(condition),
        "foreign_cpu_after_percent": _fitting(fingerprint.get("foreign_cpu_percent"), pa.float64()),
        "resident_models_after": _fitting(fingerprint.get("resident_models"), pa.string()),
        "foreign_gpu_memory_after_mb": _fitting(fingerprint.get(FOREIGN_MEMORY), pa.int64()),
    }


def _fact(result: TrialResult, name: str) -> FactValue:
    return None if result.fingerprint is None else result.fingerprint.get(name)


def _facts(fingerprint: Fingerprint | None, names: Iterable[str], schema: pa.Schema) -> Row:
    if fingerprint is None:
        return dict.fromkeys(names)
    return {name: _fitting(fingerprint.get(name), schema.field(name).type) for name in names}


def _fitting(value: FactValue, kind: pa.DataType) -> FactValue:
    """Return the value in its column's type; what is no number is null in a number column."""
    if value is None or kind == pa.string():
        return value if value is None or isinstance(value, str) else str(value)
    if kind == pa.bool_():
        return value if isinstance(value, bool) else None
    if isinstance(value, (str, bool)) or not math.isfinite(value):
        return None
    if kind == pa.float64():
        return float(value)
    return round(value) if abs(value) < MOST_INTEGER else None


def _finite(value: FactValue) -> FactValue:
    """Not a number is not a value."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
