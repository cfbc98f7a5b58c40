"""Reads one trial whole: every attempt at it, its requests, its readings and its energy."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from fleet.errors import UnknownName, UserError
from fleet.query.energy import energy_of_attempt, tells_energy
from fleet.query.moments import zoned
from fleet.query.open_store import Row, rows
from fleet.query.results import unknown_words
from fleet.query.typed import typed_rows
from fleet.query.views import question

SHOW_VIEWS = ("attempts", "requests_flagged", "requests", "readings", "second_opinion")
"""What `show` asks for; those of energy only where some was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingsOfMetric:
    """What was read of one metric during one attempt, as a row of `readings_of_attempt.sql`."""

    metric: str
    source: str
    values: int
    gaps: int
    least: float | None
    median: float | None
    most: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoClocks:
    """A point of which the client's clock and the engine's counters disagree on decode."""

    point: str
    rates: str
    """Both, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One trial whole, columns as in the tables and views."""

    trial: Row
    """The attempt that counts, the newest where several do, else the last one."""
    attempts: tuple[Row, ...]
    """Several count where two stores measured the trial, or one machine before and after an
    upgrade."""
    requests: tuple[Row, ...]
    readings: tuple[ReadingsOfMetric, ...] = ()
    """One row per metric and source: least, median, most."""
    clocks: tuple[TwoClocks, ...] = ()
    energy: tuple[Row, ...] = ()
    """Rows of the view `energy`."""


def show(con: duckdb.DuckDBPyConnection, trial_prefix: str) -> Shown:
    """Read one trial whole.

    Raises UnknownName where no trial id begins so, UserError where several do.
    """
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
    readings = typed_rows(con, ReadingsOfMetric, question("readings_of_attempt"), attempt)
    of_energy = tells_energy(each.metric for each in readings)
    return Shown(
        trial=trial,
        attempts=tuple(attempts),
        requests=tuple(rows(con, question(name), attempt)),
        readings=tuple(readings),
        clocks=tuple(typed_rows(con, TwoClocks, question("clocks_of_attempt"), attempt)),
        energy=tuple(energy_of_attempt(con, *attempt)) if of_energy else (),
    )


def _attempts(con: duckdb.DuckDBPyConnection, trial_prefix: str) -> list[Row]:
    """Read the attempts at a trial; the time at which each began is that of its machine's zone."""
    return [
        {**row, "started_at": zoned(row["started_at"], row["utc_offset_s"])}
        for row in rows(con, question("attempts_of_trial"), [trial_prefix])
    ]


def _no_trial(con: duckdb.DuckDBPyConnection, prefix: str) -> UnknownName:
    names = [str(row["trial_id"]) for row in rows(con, "select distinct trial_id from trials")]
    return UnknownName(
        unknown_words(prefix or "(nothing)", "trial", names),
        "their ids: fleet results",
    )
