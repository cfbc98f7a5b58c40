"""Writes one trial whole: the machine, the settings, every request with its rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from fleet.model.machine import OVER_NETWORK
from fleet.query.one_trial import ReadingsOfMetric, Shown
from fleet.query.open_store import Row
from fleet.report.tables import Column, fitted
from fleet.units import show_bytes, show_count, show_ns, show_number

HEADLINES = (
    ("experiment", ("experiment", "session", "block")),
    ("why", ("why",)),
    ("machine", ("machine", "chip", "gpu", "gpu_cores", "memory_gb", "gpu_limit_mb")),
    ("measured", ("measured_over", "round_trip_ns")),
    ("system", ("os", "os_version", "os_build", "kernel", "gpu_driver")),
    ("condition", ("power_source", "power_mode", "thermal_class", "gpu_slowdowns")),
    ("model", ("model", "digest")),
    ("format", ("model_format", "quantization", "bits_per_weight", "drafts")),
    ("engine", ("engine", "engine_version", "runner", "context_length")),
    ("MLX", ("mlx_version", "mlx_device", "mlx_library", "memory_after_bytes")),
    ("drafts", ("draft_acceptance",)),
    ("settings", ("settings", "think")),
    ("times", ("load_ns", "duration_ns")),
    ("outcome", ("outcome", "reason", "detail", "source")),
)
REQUESTS = (
    Column(title="request"),
    Column(title="test"),
    Column(title="prompt", right=True),
    Column(title="reused", right=True),
    Column(title="read", right=True, rank=3),
    Column(title="prefill", right=True),
    Column(title="naive-prefill", right=True, rank=6),
    Column(title="output", right=True),
    Column(title="decode", right=True),
    Column(title="naive-decode", right=True, rank=5),
    Column(title="load", right=True, rank=4),
    Column(title="first token", right=True, rank=1),
    Column(title="total", right=True, rank=2),
    Column(title="left-out"),
)
READINGS = (
    Column(title="reading"),
    *(Column(title=title, right=True) for title in ("least", "median", "most", "values", "gaps")),
    Column(title="source", rank=1),
)


def shown_lines(shown: Shown, width: int | None = None) -> list[str]:
    """Write one trial. `width`: columns of the terminal; None: as wide as it takes."""
    trial = shown.trial
    lines = [
        f"{trial['trial_id']}   {show_count(len(shown.attempts), 'attempt')}, {trial['started_at']}"
    ]
    for title, names in HEADLINES:
        facts = [_fact(name, trial[name]) for name in names if trial.get(name) not in (None, "")]
        if facts:
            lines.append(f"  {title:<11}{'  '.join(facts)}")
    lines += [f"  {'limit':<11}{conflict}" for conflict in _limit_conflict(trial)]
    lines += [f"  {'gates':<11}{fact}" for fact in _gates(trial)]
    lines += [f"  {'measured':<11}{fact}" for fact in _other_measurements(shown)]
    lines += ["", *fitted(REQUESTS, list(map(_request_cells, shown.requests)), width)]
    lines += [_request_counts(shown.requests)] if shown.requests else []
    lines += [f"decode of {each.point} by two clocks: {each.rates}" for each in shown.clocks]
    if shown.readings:
        lines += ["", *fitted(READINGS, list(map(_reading_cells, shown.readings)), width)]
    if shown.energy:
        lines += ["", *map(_energy_line, shown.energy)]
    if trial.get("imported"):
        lines += ["", f"imported: {trial.get('source')}"]
    return lines


def _limit_conflict(trial: Row) -> Iterator[str]:
    """Yield a conflict of limits, unless fleet's own engine has said what it works with."""
    if trial.get("gpu_limit_conflict") and trial.get("gpu_limit_effective_mb") is None:
        yield f"wired limit {trial['gpu_limit_conflict']}"


def _other_measurements(shown: Shown) -> Iterator[str]:
    """Name other measurements of the trial, in another store or after an upgrade."""
    others = [row for row in shown.attempts[1:] if row["counted"]]
    if others:
        yield f"{show_count(len(others) + 1, 'time')} under this id; the newest is shown"
    for row in others:
        engine = " ".join(filter(None, (_text(row["engine"]), _text(row["engine_version"]))))
        by = f", submission {str(row['submission_id'])[:8]}" if row["submission_id"] else ""
        yield f"also {row['started_at']} ({engine}{by})"


def _gates(trial: Row) -> Iterator[str]:
    """Yield what the gates did, where that is out of the ordinary."""
    if trial.get("gates") not in (None, "wait"):
        yield f"policy {trial['gates']}"
    if trial.get("gates_held_ns"):
        yield f"held for {_ns(trial['gates_held_ns'])} before it"
    words = {
        "gates_closed": "closed before it",
        "gates_closed_after": "closed after it",
        "models_unloaded": "taken out of memory for it",
        "gates_unverified": "unverified",
    }
    for name, title in words.items():
        if trial.get(name):
            yield f"{title}: {trial[name]}"


def _fact(name: str, value: object) -> str:
    units = {
        "memory_gb": " GB",
        "gpu_limit_mb": " MiB GPU limit",
        "gpu_cores": " GPU cores",
        "bits_per_weight": " bits per weight",
    }
    if name in units:
        return f"{value}{units[name]}"
    if name == "memory_after_bytes" and isinstance(value, int):
        return f"{show_bytes(value)} after the last request"
    if name == "draft_acceptance" and isinstance(value, float):
        return f"{value:.0%} accepted, of all since the load"
    if name in ("load_ns", "duration_ns"):
        return f"{'load' if name == 'load_ns' else 'whole trial'} {_ns(value)}"
    if name == "measured_over":
        return "over the network" if value == OVER_NETWORK else "on the machine itself"
    if name == "round_trip_ns":
        return f"round trip {_ns(value)}"
    if name == "gpu_slowdowns":
        return f"the GPU slowed itself down: {value}"
    named = ("session", "block", "context_length", "drafts")
    return f"{name} {value}" if name in named else str(value)


def _request_cells(row: Row) -> list[str]:
    total_ns = row.get("end_to_end_ns") or row.get("total_duration_ns")
    return [
        f"{row['request']}{' warm-up' if row.get('warmup') else ''}",
        _text(row.get("point")),
        _text(row.get("prompt_tokens")),
        _reused(row),
        _ns(row.get("prompt_duration_ns")),
        _number(row.get("prefill_tokens_per_s")),
        _number(row.get("naive_prefill_tokens_per_s")),
        _text(row.get("output_tokens")),
        _number(row.get("decode_tokens_per_s")),
        _number(row.get("naive_decode_tokens_per_s")),
        _ns(row.get("load_duration_ns")),
        _ns(row.get("first_token_ns")),
        _ns(total_ns),
        _text(row.get("invalid") or row.get("error")),
    ]


def _reused(row: Row) -> str:
    """Write the share of a turn's prompt that the engine had in its cache."""
    cached, prompt = row.get("cached_tokens"), row.get("prompt_tokens")
    if row.get("turn") is None or not prompt:
        return ""
    if cached is None:
        return "unknown"
    return f"{100 * float(str(cached)) / float(str(prompt)):.0f} %"


def _request_counts(requests: Sequence[Row]) -> str:
    """Write `5 requests: 3 valid, 1 short and clock, 1 to warm up`; the numbers add up."""
    counts = Counter(map(_became, requests))
    words = ", ".join(f"{count} {what}" for what, count in counts.items())
    return f"{show_count(len(requests), 'request')}: {words}"


def _became(request: Row) -> str:
    if request.get("warmup"):
        return "to warm up"
    if request["valid"]:
        return "valid"
    flags = str(request.get("invalid") or "")
    return flags.replace(" ", " and ") or "of an attempt that does not count"


def _reading_cells(of: ReadingsOfMetric) -> list[str]:
    """Write least, median and most of a metric; a gap has its reason as the source."""
    return [
        of.metric,
        *map(_number, (of.least, of.median, of.most)),
        str(of.values),
        str(of.gaps or ""),
        of.source,
    ]


def _energy_line(row: Row) -> str:
    line = f"energy   {row['point']}  {row['scope']}  {_number(row['joules_per_token'])} J/token"
    line += f"  {_number(row['tokens_per_joule'])} tokens/J  by {row['method']} ({row['source']})"
    return line if row["valid"] else f"{line}  not valid: {row['invalid']}"


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _number(value: object) -> str:
    return show_number(value) if isinstance(value, (int, float)) else ""


def _ns(value: object) -> str:
    return show_ns(value) if isinstance(value, (int, float)) else ""
