"""What has been measured, a row for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.folders import results_folders
from fleet.query.machines import MachineOfResults, machines_of_results
from fleet.query.open_store import READ_AT_ONCE, WITH_READINGS, open_store
from fleet.query.results import RESULT_VIEWS, ResultRow, results


@interruptible()
def read_results(
    homes: Sequence[Path], experiment: str | None, *, with_machines: bool = False
) -> tuple[list[ResultRow], list[MachineOfResults]]:
    """Return the rows, and their machines if these are wanted."""
    tables = READ_AT_ONCE if experiment is None else WITH_READINGS
    with closing(open_store(results_folders(homes), tables, RESULT_VIEWS)) as con:
        cells = results(con, experiment)
        return cells, machines_of_results(con, experiment) if with_machines else []
