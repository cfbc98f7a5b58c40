"""What was measured and read, and is not compared: each with its reason. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.errors import FleetError
from fleet.query.open_store import Row
from fleet.query.variants import Variant

TOO_SHORT = "too short for a rate"
NOT_NAMED = "not a side that was named"
NO_REQUEST = "no valid request"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Trials that may be pooled, of one side."""

    side: str
    variant: Variant
    reason: str
    apart: bool = False
    """Other trials of the same cell are compared: these are kept apart from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLeftOut:
    """One cell and point of `fleet results` that is not compared, or trials of it."""

    side: str | None
    """None: not known, since every trial failed."""
    experiment: str | None
    session: int | None
    machine: str
    model: str
    job: str
    point: str | None
    settings: str
    flags: str
    trials: int
    reason: str
    apart: bool
    """Other trials of the same cell are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCount:
    """Cells and points that were read: `read` = `compared` + `left_out`."""

    of: str
    """speeds, or energy: of that, each part of a machine is a cell of its own."""
    read: int
    compared: int
    left_out: int


def counted(
    of: str, read: Sequence[Variant], compared: Sequence[Variant], left_out: Sequence[LeftOut]
) -> CellCount:
    """Raises FleetError where something was lost on the way, or counted twice."""
    seen = Counter(map(id, compared)) + Counter(id(each.variant) for each in left_out)
    if seen != Counter(map(id, read)):
        raise FleetError(
            f"internal error: {len(read)} cells of {of} were read, {len(compared)} are compared "
            f"and {len(left_out)} are left out",
            "please report it, with what was typed; fleet results shows every cell",
        )
    return CellCount(of=of, read=len(read), compared=len(compared), left_out=len(left_out))


def cell_of(left: LeftOut) -> CellLeftOut:
    row = left.variant.row
    return _cell(row, left.side, left.variant.trials, left.reason, apart=left.apart)


def failed_cell(row: Row) -> CellLeftOut:
    """Of a row of `failed_cells.sql`."""
    reason = f"every trial failed ({row['reasons'] or 'no reason is known'})"
    return _cell(row, None, int(str(row["trials"])), reason)


def _cell(
    row: Row, side: str | None, trials: int, reason: str, *, apart: bool = False
) -> CellLeftOut:
    experiment, session, point = row["experiment"], row["session"], row["point"]
    return CellLeftOut(
        side=side,
        experiment=None if experiment is None else str(experiment),
        session=None if session is None else int(str(session)),
        machine=str(row["machine"]),
        model=str(row["model"]),
        job=str(row["job"]),
        point=None if point is None else str(point),
        settings=str(row["settings"] or ""),
        flags=str(row.get("flags") or ""),
        trials=trials,
        reason=reason,
        apart=apart,
    )
