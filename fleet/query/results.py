"""Reads what was measured: cell by cell, or one trial whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from fleet import comparability
from fleet.errors import UnknownName, nearest
from fleet.names import natural
from fleet.query.energy import energy_of_results
from fleet.query.moments import zoned
from fleet.query.open_store import Row, rows
from fleet.query.request_counts import (
    CELL_COLUMNS,
    CellKey,
    RequestCounts,
    cell_key,
    check_sums,
    request_counts,
)
from fleet.query.typed import decode
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
    point: str = field(metadata={"json": "test"})
    """As tables name it: pp512, tg128, or the job."""
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
    measured_over: str | None = None
    """local, or network: its client's times hold the round trip to the machine. None: imported."""
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


RESULT_VIEWS = ("cells", "requests_flagged", "trials")
"""What `results` asks for."""

STATE_LETTERS = 20


def results(con: duckdb.DuckDBPyConnection, experiment: str | None = None) -> list[ResultRow]:
    """Read every cell, one without a single valid request too. Raises UnknownName."""
    if experiment is not None:
        check_experiment(con, experiment)
    requests = request_counts(con, experiment)
    energy = _energy(con, experiment)
    cells: dict[CellKey, list[Row]] = defaultdict(list)
    for row in rows(con, question("results"), [experiment]):
        cells[cell_key(row)].append(row)
    made = []
    for key, alike in cells.items():
        valid = [decode(_Valid, row).requests for row in alike]
        for row, sent in zip(alike, requests[key].shared(valid), strict=True):
            made.append(_result(row, sent, _state(row, alike), energy.get(_whole_key(row), {})))
    made += [_empty_result(sent) for key, sent in requests.items() if key not in cells]
    check_sums((row.requests for row in made), requests.values())
    return sorted(made, key=_order)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Valid:
    requests: int


def _order(row: ResultRow) -> list[object]:
    """Order 64 before 512, and 20b before 120b; what the words do not order stays as it was."""
    words = (row.experiment, row.session, row.machine, row.model, row.job, row.point, row.settings)
    return [natural("" if word is None else word) for word in words]


def _energy(
    con: duckdb.DuckDBPyConnection, experiment: str | None
) -> dict[tuple[object, ...], dict[str, float]]:
    """Read joules per token of each row of `cells`, by scope.

    Over all experiments there is none: to read every reading of a large store takes seconds.
    """
    of_rows: dict[tuple[object, ...], dict[str, float]] = defaultdict(dict)
    for row in energy_of_results(con, experiment) if experiment is not None else ():
        energy = decode(_EnergyOfRow, row)
        if energy.joules_per_token is not None:
            of_rows[_whole_key(row)][energy.scope] = energy.joules_per_token
    return of_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _EnergyOfRow:
    scope: str
    joules_per_token: float | None


def _whole_key(row: Row) -> tuple[object, ...]:
    """Return the key of a row with all that is never pooled."""
    pooled = (row[column.name] for column in comparability.POOLING_KEY)
    return (*cell_key(row), row["flags"], *pooled)


def _state(row: Row, alike: Sequence[Row]) -> str:
    """Say what keeps a row apart from the others of its cell, in the words of the pooling key."""
    return ", ".join(
        f"{column.short} {_value(row[column.name])}".strip()
        for column in comparability.POOLING_KEY
        if len({other[column.name] for other in alike}) > 1
    )


def _value(value: object) -> str:
    return "unknown" if value is None else str(value)[:STATE_LETTERS]


def _result(row: Row, sent: RequestCounts, state: str, energy: Mapping[str, float]) -> ResultRow:
    spread = row["decode_spread_percent"]
    columns: Row = {
        **row,
        "prefill_note": _note(row, "prefill"),
        "decode_note": _note(row, "decode"),
        "joules_per_token": energy,
        "spread_percent": row["prefill_spread_percent"] if spread is None else spread,
        "state": state,
        "last_at": zoned(row["last_at"], row["last_utc_offset_s"]),
        "id": row["last_trial_id"],
    }
    return decode(ResultRow, {**columns, **_counts(sent)})


def _note(row: Row, metric: str) -> object:
    """Return why a cell has no value; where it has one, one trial without a rate is no news."""
    return "" if row[f"{metric}_tokens_per_s"] is not None else row[f"{metric}_note"]


def _empty_result(sent: RequestCounts) -> ResultRow:
    row: Any = sent.row
    return ResultRow(
        **{name: row[name] for name in (*CELL_COLUMNS, "point")},
        prefill_note="no valid request",
        decode_note="no valid request",
        **_counts(sent),
        id=row["trial_id"],
    )


def _counts(sent: RequestCounts) -> dict[str, Any]:
    return {
        "requests": sent.sent,
        "valid": sent.valid,
        "warm_ups": sent.warm_ups,
        "left_out": sent.left_out,
    }


def check_experiment(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Raise UnknownName for an experiment that the results do not hold."""
    names = [str(row["experiment"]) for row in rows(con, "select distinct experiment from trials")]
    if name not in names:
        raise UnknownName(
            unknown_words(name, "experiment in these results", names), "fleet results"
        )


def unknown_words(name: str, what: str, names: Sequence[str]) -> str:
    """Say that a name is unknown, and which known one is near."""
    near = nearest(name, names)
    return f"{name}: unknown {what}" + (f" (did you mean {near}?)" if near else "")
