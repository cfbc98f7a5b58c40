"""What was measured: cell by cell, experiment by experiment, one trial whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from fleet.errors import UnknownName, UserError, nearest
from fleet.names import natural
from fleet.query.energy import energy_of_attempt, energy_of_results, tells_energy
from fleet.query.moments import zoned
from fleet.query.open_store import Row, rows
from fleet.query.request_counts import RequestCounts, check_sums, request_counts
from fleet.query.views import question


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One cell and point. A speed that is not known is None; its note says why."""

    experiment: str | None
    session: int | None
    machine_id: str
    machine: str
    model: str
    job: str
    test: str
    """The point as tables name it: pp512, tg128, or the job."""
    settings: str
    prefill_tokens_per_s: float | None = None
    prefill_note: str = ""
    decode_tokens_per_s: float | None = None
    decode_note: str = ""
    naive_prefill_tokens_per_s: float | None = None
    naive_decode_tokens_per_s: float | None = None
    burst_decode_tokens_per_s: float | None = None
    sustained_decode_tokens_per_s: float | None = None
    throughput_tokens_per_s: float | None = None
    """Of several streams together."""
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    first_token_ns: float | None = None
    server_first_token_ns: float | None = None
    load_ns: float | None = None
    joules_per_token: Mapping[str, float] = field(default_factory=dict)
    """By scope: the part of the machine whose energy it is. Empty where none is valid, or where
    no experiment is named."""
    trials: int = 0
    spread_percent: float | None = None
    """Standard deviation between trials over their mean: of decode, else of prefill."""
    flags: str = ""
    requests: int = 0
    """Sent for this cell and point over all its trials: valid, left out and warm-ups together."""
    valid: int = 0
    """Those that count."""
    warm_ups: int = 0
    left_out: Mapping[str, int]
    """Requests left out, each once, by its flags: `short`, `short clock`. Of a cell of several
    rows, the first tells them and the warm-ups."""
    engine_version: str | None = None
    model_format: str | None = None
    """gguf or safetensors; None, here and in the next four: not known."""
    quantization: str | None = None
    bits_per_weight: float | None = None
    runner: str | None = None
    drafts: str | None = None
    client_decode_tokens_per_s: float | None = None
    decode_second_opinion: str | None = None
    """Where the client's clock and the engine's counters disagree, both rates; empty where they
    agree, None where there is nothing to compare."""
    state: str = ""
    """What keeps it apart from the other rows of its cell, in its own words: `kernel 6.8.0`."""
    imported: bool = False
    last_at: datetime | None = None
    """When its newest trial began, in its machine's time zone."""
    id: str
    """The cell's newest trial: what `fleet show` takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One trial whole, columns as in the tables and views."""

    trial: Row
    """The attempt that counts, the newest where several do, else the last one."""
    attempts: tuple[Row, ...]
    """Several count where two stores measured the trial, or one machine before and after an
    upgrade."""
    requests: tuple[Row, ...]
    readings: tuple[Row, ...] = ()
    """One row per metric and source: least, median, most."""
    energy: tuple[Row, ...] = ()
    """Rows of the view `energy`."""


RESULT_VIEWS = ("cells", "requests_flagged", "trials")
"""What `results` asks for."""

SHOW_VIEWS = ("attempts", "requests_flagged", "requests", "readings")
"""What `show` asks for; those of energy only where some was read."""

STATES = {
    "hardware_id": "",
    "os_version": "OS",
    "os_build": "build",
    "kernel": "kernel",
    "gpu_driver": "driver",
    "gpu_limit_mb": "GPU limit",
    "engine_version": "engine",
    "engine_environment": "environment",
    "digest": "digest",
}
"""What one machine can be in turn, and is never pooled; in words before the value."""
STATE_LETTERS = 20

_WEIGHTS = (
    *("model_format", "quantization", "bits_per_weight", "runner", "drafts"),
    *("client_decode_tokens_per_s", "decode_second_opinion"),
)
_CELL = ("experiment", "session", "machine_id", "machine", "model", "job", "settings")


def results(con: duckdb.DuckDBPyConnection, experiment: str | None = None) -> list[ResultRow]:
    """Every cell, one without a single valid request too. Raises UnknownName."""
    if experiment is not None:
        check_experiment(con, experiment)
    requests = request_counts(con, experiment, _key)
    energy = _energy(con, experiment)
    cells: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows(con, question("results"), [experiment]):
        cells[_key(row)].append(row)
    found = [
        _result(row, sent, _state(row, alike), energy.get(_whole_key(row), {}))
        for key, alike in cells.items()
        for row, sent in zip(alike, requests[key].shared(alike), strict=True)
    ]
    found += [_empty_result(sent) for key, sent in requests.items() if key not in cells]
    check_sums((row.requests for row in found), requests.values())
    return sorted(found, key=_order)


def _order(row: ResultRow) -> list[object]:
    """64 before 512, and 20b before 120b; what the words do not order stays as it was."""
    words = (row.experiment, row.session, row.machine, row.model, row.job, row.test, row.settings)
    return [natural("" if word is None else word) for word in words]


def show(con: duckdb.DuckDBPyConnection, trial_prefix: str) -> Shown:
    """Raises UnknownName where no trial id begins so, UserError where several do."""
    attempts = _attempts(con, trial_prefix) if trial_prefix else []
    ids = sorted({str(row["trial_id"]) for row in attempts})
    if not ids:
        raise _no_trial(con, trial_prefix)
    if len(ids) > 1:
        more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
        raise UserError(
            f"{trial_prefix}: {len(ids)} trials begin so: {', '.join(ids[:3])}{more}",
            f"give more of it: fleet show {ids[0]}",
        )
    trial = attempts[0]
    name = "requests_of_attempt" if trial["counted"] else "raw_requests_of_attempt"
    attempt = [trial["attempt_id"], trial["folder"]]
    readings = rows(con, question("readings_of_attempt"), attempt)
    return Shown(
        trial=trial,
        attempts=tuple(attempts),
        requests=tuple(rows(con, question(name), attempt)),
        readings=tuple(readings),
        energy=tuple(energy_of_attempt(con, *attempt)) if tells_energy(readings) else (),
    )


def _attempts(con: duckdb.DuckDBPyConnection, trial_prefix: str) -> list[Row]:
    """The time at which each began is that of its machine's zone."""
    return [
        {**row, "started_at": zoned(row["started_at"], row["utc_offset_s"])}
        for row in rows(con, question("attempts_of_trial"), [trial_prefix])
    ]


def _energy(
    con: duckdb.DuckDBPyConnection, experiment: str | None
) -> dict[tuple[object, ...], dict[str, float]]:
    """Joules per token of each row of `cells`, by scope; over all experiments none, since to
    read every reading of a large store takes seconds."""
    found: dict[tuple[object, ...], dict[str, float]] = defaultdict(dict)
    for row in energy_of_results(con, experiment) if experiment is not None else ():
        if row["joules_per_token"] is not None:
            found[_whole_key(row)][str(row["scope"])] = float(str(row["joules_per_token"]))
    return found


def _state(row: Row, alike: Sequence[Row]) -> str:
    told = ((name, str(row[name]), {str(other[name]) for other in alike}) for name in STATES)
    return ", ".join(
        f"{STATES[name]} {'unknown' if mine == 'None' else mine[:STATE_LETTERS]}".strip()
        for name, mine, every in told
        if len(every) > 1
    )


def _result(row: Row, sent: RequestCounts, state: str, energy: Mapping[str, float]) -> ResultRow:
    cell: Any = row
    spread = cell["decode_spread_percent"]
    return ResultRow(
        **{field: cell[field] for field in _CELL},
        test=cell["point"],
        prefill_tokens_per_s=cell["prefill_tokens_per_s"],
        prefill_note=_note(cell, "prefill"),
        decode_tokens_per_s=cell["decode_tokens_per_s"],
        decode_note=_note(cell, "decode"),
        naive_prefill_tokens_per_s=cell["naive_prefill_tokens_per_s"],
        naive_decode_tokens_per_s=cell["naive_decode_tokens_per_s"],
        burst_decode_tokens_per_s=cell["burst_decode_tokens_per_s"],
        sustained_decode_tokens_per_s=cell["sustained_decode_tokens_per_s"],
        throughput_tokens_per_s=cell["throughput_tokens_per_s"],
        prompt_tokens=cell["prompt_tokens"],
        output_tokens=cell["output_tokens"],
        first_token_ns=cell["first_token_ns"],
        server_first_token_ns=cell["server_first_token_ns"],
        load_ns=cell["load_ns"],
        joules_per_token=energy,
        trials=cell["trials"],
        spread_percent=cell["prefill_spread_percent"] if spread is None else spread,
        flags=cell["flags"],
        **_counts(sent),
        engine_version=cell["engine_version"],
        **{field: cell[field] for field in _WEIGHTS},
        state=state,
        imported=bool(cell["imported"]),
        last_at=zoned(cell["last_at"], cell["last_utc_offset_s"]),
        id=cell["last_trial_id"],
    )


def _note(cell: Mapping[str, Any], metric: str) -> str:
    """A note only where the cell has no value: one trial without a rate is no news."""
    return "" if cell[f"{metric}_tokens_per_s"] is not None else cell[f"{metric}_note"] or ""


def _empty_result(sent: RequestCounts) -> ResultRow:
    cell: Any = sent.row
    return ResultRow(
        **{field: cell[field] for field in _CELL},
        test=cell["point"],
        prefill_note="no valid request",
        decode_note="no valid request",
        **_counts(sent),
        id=cell["trial_id"],
    )


def _counts(sent: RequestCounts) -> dict[str, Any]:
    return {
        "requests": sent.sent,
        "valid": sent.valid,
        "warm_ups": sent.warm_ups,
        "left_out": sent.left_out,
    }


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[field] for field in (*_CELL, "point"))


def _whole_key(row: Row) -> tuple[object, ...]:
    """With all that is never pooled."""
    return (*_key(row), row["engine"], row["flags"], *(row[name] for name in STATES))


def check_experiment(con: duckdb.DuckDBPyConnection, name: str) -> None:
    there = [str(row["experiment"]) for row in rows(con, "select distinct experiment from trials")]
    if name not in there:
        raise UnknownName(_unknown(name, "experiment in these results", there), "fleet results")


def _no_trial(con: duckdb.DuckDBPyConnection, prefix: str) -> UnknownName:
    there = [str(row["trial_id"]) for row in rows(con, "select distinct trial_id from trials")]
    return UnknownName(
        _unknown(prefix or "(nothing)", "trial", there),
        "their ids: fleet results",
    )


def _unknown(name: str, what: str, there: Sequence[str]) -> str:
    near = nearest(name, there)
    return f"{name}: unknown {what}" + (f" (did you mean {near}?)" if near else "")
