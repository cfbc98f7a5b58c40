"""What the `trials` table says of past attempts, read without any query engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.compute as pc

from fleet.comparability import measured_again
from fleet.ports import PastAttempt
from fleet.store import codec
from fleet.units import NS_PER_S

OWN_COLUMNS = (
    *("experiment", "imported", "trial_id", "fence", "session", "outcome", "transient", "reason"),
    *("duration_ns", "machine_id", "model", "job", "settings"),
)

Cell = tuple[str, str, str, str]
Past = Mapping[str, Any]
"""One row of `columns`."""


def columns() -> list[str]:
    """Return what is read of each attempt: its work, its end, and what it was measured on."""
    return [*OWN_COLUMNS, *(column.name for column in measured_again())]


def read_past(path: Path, experiment: str) -> list[Past]:
    """Return the measured (not imported) attempts of one experiment in one file."""
    data = codec.read(path, "trials", columns())
    ours = pc.equal(data["experiment"], experiment)
    measured = pc.invert(pc.fill_null(data["imported"], False))
    rows: list[Past] = data.filter(pc.and_(ours, measured)).to_pylist()
    return rows


def models_by_experiment(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Names of the models of each experiment that was measured, not imported."""
    models: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        data = codec.read(path, "trials", ("experiment", "model", "imported"))
        for row in data.to_pylist():
            if not row["imported"]:
                models[row["experiment"]].add(row["model"])
    return {experiment: sorted(names) for experiment, names in models.items()}


def as_attempt(row: Past) -> PastAttempt:
    return PastAttempt(
        trial_id=row["trial_id"],
        fence=row["fence"],
        outcome=row["outcome"],
        transient=bool(row["transient"]),
        reason=row["reason"] or "",
        state={column.name: row[column.name] for column in measured_again()},
        duration_ns=row["duration_ns"] or 0,
    )


def seconds_per_cell(rows: Iterable[Past]) -> dict[Cell, float]:
    """Median duration of the attempts that went well, by `Trial.cell()`."""
    durations: dict[Cell, list[int]] = defaultdict(list)
    for row in rows:
        if row["outcome"] == "ok" and row["duration_ns"] is not None:
            cell = (row["machine_id"], row["model"], row["job"], row["settings"])
            durations[cell].append(row["duration_ns"])
    return {cell: median(values) / NS_PER_S for cell, values in durations.items()}
