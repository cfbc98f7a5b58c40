"""A query of the user's own, in a process that can change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.folders import results_folders
from fleet.query.adhoc_sql import sql


@interruptible()
def read_sql(
    homes: Sequence[Path], query: str, timeout_s: float
) -> tuple[list[str], list[list[object]]]:
    """Return the names of the columns, and the rows."""
    return sql(results_folders(homes), query, timeout_s=timeout_s)
