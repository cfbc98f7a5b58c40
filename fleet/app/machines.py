"""The machines that were measured, each as it was last seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.folders import results_folders
from fleet.query.moments import zoned
from fleet.query.open_store import (
    Row,
    open_store,
    rows,
)
from fleet.query.views import question

MACHINE_TABLES = ("trials", "fingerprints")


@interruptible()
def read_machines(homes: Sequence[Path]) -> list[Row]:
    """Return each machine as it was last seen, newest first."""
    with closing(open_store(results_folders(homes), MACHINE_TABLES, MACHINE_TABLES)) as con:
        return [_last_seen_in_its_zone(row) for row in rows(con, question("machines"))]


def _last_seen_in_its_zone(row: Row) -> Row:
    seen = zoned(row["last_seen"], row["utc_offset_s"])
    kept = {name: value for name, value in row.items() if name != "utc_offset_s"}
    return {**kept, "last_seen": str(seen)}
