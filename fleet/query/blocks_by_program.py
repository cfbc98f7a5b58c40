"""What each block of a session measured with each registered program."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.metrics.compared import check_metric
from fleet.query.open_store import Connection, rows
from fleet.query.views import question


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockValue:
    """One metric of one trial at one point."""

    block: int
    label: str
    """Of the program."""
    sha256: str
    point: str
    value: float
    flags: str
    """What qualifies the trial; empty: nothing does."""


def blocks_by_program(
    con: Connection, experiment: str, session: int, metric: str
) -> list[BlockValue]:
    """Return the values of a metric, in the order of measuring; points without it are left out."""
    column = check_metric(metric).column
    return [
        BlockValue(
            block=int(str(row["block"])),
            label=str(row["engine_binary"]),
            sha256=str(row["engine_sha256"]),
            point=str(row["point"]),
            value=float(str(row[column])),
            flags=str(row["flags"] or ""),
        )
        for row in rows(con, question("blocks_by_program"), [experiment, session])
        if row[column] is not None
    ]
