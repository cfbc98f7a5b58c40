"""The machines that were measured, each as it was last seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.folders import results_folders
from fleet.query.machines import MeasuredMachine, measured_machines
from fleet.query.open_store import open_store

MACHINE_TABLES = ("trials", "fingerprints")


@interruptible()
def read_machines(homes: Sequence[Path]) -> list[MeasuredMachine]:
    """Return each machine as it was last seen, newest first."""
    with closing(open_store(results_folders(homes), MACHINE_TABLES, MACHINE_TABLES)) as con:
        return measured_machines(con)
