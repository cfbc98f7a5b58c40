"""The files of a home's store: read whole, and set aside where they are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fleet.app.interrupts import uninterrupted
from fleet.app.named_experiments import submitted_request
from fleet.folders import results_folder
from fleet.store.damage import Repaired, Verified
from fleet.store.parquet import ParquetStore


def verify_store(home: Path) -> Verified:
    """Read every file of the store; raises StoreUnusable where there is none."""
    return ParquetStore(results_folder(home), read_only=True).verify()


def repair_store(home: Path) -> Repaired:
    """Set aside what is damaged or foreign; raises StoreUnusable where there is no store."""
    folder = results_folder(home)
    ParquetStore(folder, read_only=True).verify()
    with uninterrupted():
        return ParquetStore(folder).repair()


def submitted_here(home: Path, experiments: Sequence[str]) -> list[str]:
    """Return those that a submit with no more than their name measures again."""
    return [name for name in experiments if submitted_request(name, home) is not None]
