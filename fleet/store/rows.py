"""A trial result as rows of the five tables: every column of the schema, null where unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from fleet.identity import canonical_json
from fleet.model.gates import FOREIGN_MEMORY, others_gpu_mb
from fleet.model.job import Think
from fleet.model.machine import CONDITION, FactValue, Fingerprint
from fleet.model.measure import Placement, Reading, RequestRecord, TrialResult
from fleet.model.settings import SETTINGS
from fleet.model.trial import show_settings
from fleet.runner.cache_columns import courses
from fleet.runner.slowdowns import gpu_slowdowns
from fleet.store.schema import FINGERPRINTS, TABLES, TRIALS

Row = dict[str, object]

MOST_INTEGER = 2**63
"""What is absurd as an integer of 64 bits is null there, and kept in the JSON of the facts."""

MAX_GAP_US = 2**31 - 1
"""A longer gap does not fit its column, and is null there."""

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
    *("resident_models", "gpu_usable_mb", "gpu_limit_conflict"),
)
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
            {**_request(attempt_id, result.trial.job.api, record), **course}
            for record, course in zip(result.requests, courses(result), strict=True)
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
        "think": _think(trial.job.think if result.think is None else result.think),
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
        "engine_environment": canonical_json(result.engine_environment),
        "context_length": placement.context_length,
        "placement_size_bytes": placement.size_bytes,
        "placement_gpu_bytes": placement.gpu_bytes,
        "load_ns": result.load_ns,
        "active_bytes": result.active_bytes,
        "cooled_ns": result.cooled_ns,
        "engine_restarted": result.engine_restarted,
        "wired_limit_applied_mb": result.wired_limit_applied_mb,
        "gpu_limit_effective_mb": result.gpu_limit_effective_mb,
        "engine_environment_applied": canonical_json(result.engine_environment_applied),
    }


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


def _request(attempt_id: str, api: str, record: RequestRecord) -> Row:
    reply = record.reply
    return {
        "attempt_id": attempt_id,
        "request": record.index,
        "point": record.point,
        "warmup": record.warmup,
        "prompt_tokens_asked": record.prompt_tokens_asked,
        "depth_tokens": record.depth_tokens,
        "output_tokens_asked": record.output_tokens_asked,
        "seed": record.seed,
        "nonce": record.nonce,
        "sent_ns": reply.sent_ns,
        "first_chunk_ns": reply.first_chunk_ns,
        "first_thinking_ns": reply.first_thinking_ns,
        "first_answer_ns": reply.first_answer_ns,
        "last_chunk_ns": reply.last_chunk_ns,
        "ended_ns": reply.ended_ns,
        "chunks": reply.chunks,
        "chunk_gaps_us": [gap if gap <= MAX_GAP_US else None for gap in reply.chunk_gaps_us],
        "total_duration_ns": reply.total_ns,
        "load_duration_ns": reply.load_ns,
        "prompt_tokens": reply.prompt_tokens,
        "cached_tokens": reply.cached_tokens,
        "prompt_duration_ns": reply.prompt_ns,
        "output_tokens": reply.output_tokens,
        "output_duration_ns": reply.output_ns,
        "done_reason": reply.done_reason,
        "server_first_unix_ns": reply.server_first_unix_ns,
        "server_final_unix_ns": reply.server_final_unix_ns,
        "output_sha256": reply.output_sha256,
        "error": reply.error,
        "error_reason": reply.error_reason,
        "concurrency": record.concurrency,
        "stream": record.stream,
        "turn": record.turn,
        "due_ns": record.due_ns,
        "reused_tokens": record.reused_tokens,
        "api": api,
        "think": _think(record.think),
        "most_output_ns": record.most_output_ns,
        **_gaps(reply.chunk_gaps_us),
    }


def _gaps(gaps_us: Sequence[int]) -> Row:
    """Return sums over the first and the last third, and quantiles by nearest rank."""
    third, ordered = len(gaps_us) // 3, sorted(gaps_us)

    def quantile(share: float) -> int | None:
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None

    return {
        "first_third_us": sum(gaps_us[:third]) if third else None,
        "last_third_us": sum(gaps_us[-third:]) if third else None,
        "gap_p50_us": quantile(0.5),
        "gap_p90_us": quantile(0.9),
        "gap_p99_us": quantile(0.99),
        "gap_most_us": ordered[-1] if ordered else None,
    }


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


def _think(think: Think | None) -> str | None:
    return str(think).lower() if isinstance(think, bool) else think
