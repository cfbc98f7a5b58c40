"""The reading use cases: what has been measured, compared, shown. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.compare.comparison import compare
from fleet.compare.noise import noise_floors
from fleet.compare.result import Comparison
from fleet.folders import results_folder
from fleet.metrics.compared import is_energy
from fleet.query.moments import zoned
from fleet.query.open_store import (
    READ_AT_ONCE,
    WITH_READINGS,
    Row,
    narrow_to_trials,
    open_store,
    rows,
)
from fleet.query.results import (
    RESULT_VIEWS,
    SHOW_VIEWS,
    ResultRow,
    Shown,
    results,
    show,
)
from fleet.query.views import question

MACHINE_TABLES = ("trials", "fingerprints")
EXPERIMENTS = "select distinct experiment from trials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """What `fleet compare` was asked."""

    by: str
    words: tuple[str, ...] = ()
    """Sides; the first word is an experiment where one has that name."""
    where: str = ""
    metrics: tuple[str, ...] = ("prefill", "decode")
    baseline: str | None = None
    allow_diff: tuple[str, ...] = ()
    pool: bool = False
    same_within: float = 0.05
    """Of 1: two sides are the same when the whole interval of their ratio lies within."""


@interruptible()
def read_results(
    homes: Sequence[Path], experiment: str | None, *, with_machines: bool = False
) -> tuple[list[ResultRow], list[Row]]:
    """The rows, and where it is asked for the machines that they are of."""
    tables = READ_AT_ONCE if experiment is None else WITH_READINGS
    with closing(open_store(_folders(homes), tables, RESULT_VIEWS)) as con:
        found = results(con, experiment)
        if not with_machines:
            return found, []
        return found, rows(con, question("machines_of_results"), [experiment])


@interruptible()
def read_comparison(homes: Sequence[Path], asked: Comparing) -> Comparison:
    energy = any(is_energy(metric) for metric in asked.metrics)
    tables = WITH_READINGS if energy else READ_AT_ONCE
    with closing(open_store(_folders(homes), tables, views=("speeds", "trials"))) as con:
        there = {row["experiment"] for row in rows(con, EXPERIMENTS)} if asked.words else set()
        named = asked.words[:1] if asked.words and asked.words[0] in there else ()
        return compare(
            con,
            by=asked.by,
            sides=asked.words[len(named) :],
            where=asked.where,
            experiment=named[0] if named else None,
            metrics=asked.metrics,
            baseline=asked.baseline,
            allow_diff=asked.allow_diff,
            pool=asked.pool,
            same_within=asked.same_within,
            floors=noise_floors,
        )


@interruptible()
def read_trial(homes: Sequence[Path], prefix: str) -> Shown:
    with closing(open_store(_folders(homes), WITH_READINGS, SHOW_VIEWS)) as con:
        narrow_to_trials(con, WITH_READINGS, prefix)
        return show(con, prefix)


@interruptible()
def read_machines(homes: Sequence[Path]) -> list[Row]:
    """Each machine as it was last seen, newest first."""
    with closing(open_store(_folders(homes), MACHINE_TABLES, MACHINE_TABLES)) as con:
        return [_last_seen_in_its_zone(row) for row in rows(con, question("machines"))]


def _last_seen_in_its_zone(row: Row) -> Row:
    seen = zoned(row["last_seen"], row["utc_offset_s"])
    kept = {name: value for name, value in row.items() if name != "utc_offset_s"}
    return {**kept, "last_seen": str(seen)}


@interruptible()
def read_sql(
    homes: Sequence[Path], query: str, timeout_s: float
) -> tuple[list[str], list[list[object]]]:
    from fleet.query.adhoc_sql import sql

    return sql(_folders(homes), query, timeout_s=timeout_s)


def _folders(homes: Sequence[Path]) -> list[Path]:
    return [results_folder(home) for home in homes]
