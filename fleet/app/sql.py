"""A query of the user's own, in a process that can change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.folders import results_folders


@interruptible()
def read_sql(
    homes: Sequence[Path], query: str, timeout_s: float
) -> tuple[list[str], list[list[object]]]:
    from fleet.query.adhoc_sql import sql

    return sql(results_folders(homes), query, timeout_s=timeout_s)
