"""The reading use cases: what has been measured, compared, shown. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.compare.comparison import compare
from fleet.compare.request import ComparisonRequest
from fleet.compare.result import Comparison
from fleet.folders import results_folder
from fleet.metrics.compared import is_energy
from fleet.query.machines import (
    MachineOfResults,
    MeasuredMachine,
    machines_of_results,
    measured_machines,
)
from fleet.query.one_trial import SHOW_VIEWS, Shown, show
from fleet.query.open_store import (
    READ_AT_ONCE,
    WITH_READINGS,
    narrow_to_trials,
    open_store,
    rows,
)
from fleet.query.results import RESULT_VIEWS, ResultRow, results

MACHINE_TABLES = ("trials", "fingerprints")
EXPERIMENTS = "select distinct experiment from trials"


@interruptible()
def read_results(
    homes: Sequence[Path], experiment: str | None, *, with_machines: bool = False
) -> tuple[list[ResultRow], list[MachineOfResults]]:
    """The rows, and where it is asked for the machines that they are of."""
    tables = READ_AT_ONCE if experiment is None else WITH_READINGS
    with closing(open_store(_folders(homes), tables, RESULT_VIEWS)) as con:
        found = results(con, experiment)
        if not with_machines:
            return found, []
        return found, machines_of_results(con, experiment)


@interruptible()
def read_comparison(
    homes: Sequence[Path], words: Sequence[str], request: ComparisonRequest
) -> Comparison:
    """Compare. `words`: sides; the first word is an experiment where one has that name."""
    energy = any(is_energy(metric) for metric in request.metrics)
    tables = WITH_READINGS if energy else READ_AT_ONCE
    with closing(open_store(_folders(homes), tables, views=("speeds", "trials"))) as con:
        experiments = {row["experiment"] for row in rows(con, EXPERIMENTS)} if words else set()
        named = words[:1] if words and words[0] in experiments else ()
        sides, experiment = tuple(words[len(named) :]), named[0] if named else None
        return compare(con, replace(request, sides=sides, experiment=experiment))


@interruptible()
def read_trial(homes: Sequence[Path], prefix: str) -> Shown:
    with closing(open_store(_folders(homes), WITH_READINGS, SHOW_VIEWS)) as con:
        narrow_to_trials(con, WITH_READINGS, prefix)
        return show(con, prefix)


@interruptible()
def read_machines(homes: Sequence[Path]) -> list[MeasuredMachine]:
    """Each machine as it was last seen, newest first."""
    with closing(open_store(_folders(homes), MACHINE_TABLES, MACHINE_TABLES)) as con:
        return measured_machines(con)


@interruptible()
def read_sql(
    homes: Sequence[Path], query: str, timeout_s: float
) -> tuple[list[str], list[list[object]]]:
    from fleet.query.adhoc_sql import sql

    return sql(_folders(homes), query, timeout_s=timeout_s)


def _folders(homes: Sequence[Path]) -> list[Path]:
    return [results_folder(home) for home in homes]
