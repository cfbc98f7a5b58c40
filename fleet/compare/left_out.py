"""Accounts for what was read and is not compared, each with its reason. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.errors import FleetError
from fleet.query.variant import Variant
from fleet.query.variants import FailedCell

TOO_SHORT = "too short for a rate"
NOT_NAMED = "not a side that was named"
NO_REQUEST = "no valid request"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Trials of one side that may be pooled and are not compared."""

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
    """Count the cells. Raises FleetError where one was lost on the way, or counted twice."""
    seen = Counter(map(id, compared)) + Counter(id(each.variant) for each in left_out)
    if seen != Counter(map(id, read)):
        raise FleetError(
            f"internal error: {len(read)} cells of {of} were read, {len(compared)} are compared "
            f"and {len(left_out)} are left out",
            "please report it, with what was typed; fleet results shows every cell",
        )
    return CellCount(of=of, read=len(read), compared=len(compared), left_out=len(left_out))


def cell_of(left: LeftOut) -> CellLeftOut:
    """Describe trials that are left out by their cell."""
    facts, session = left.variant.facts, left.variant.facts["session"]
    return CellLeftOut(
        side=left.side,
        experiment=facts["experiment"],
        session=None if session is None else int(session),
        machine=str(facts["machine"]),
        model=str(facts["model"]),
        job=str(facts["job"]),
        point=facts["point"],
        settings=facts["settings"] or "",
        flags=facts["flags"] or "",
        trials=left.variant.trials,
        reason=left.reason,
        apart=left.apart,
    )


def failed_cell(cell: FailedCell) -> CellLeftOut:
    """Describe a cell of which every trial failed."""
    return CellLeftOut(
        side=None,
        experiment=cell.experiment,
        session=cell.session,
        machine=cell.machine,
        model=cell.model,
        job=cell.job,
        point=None,
        settings=cell.settings,
        flags="",
        trials=cell.trials,
        reason=f"every trial failed ({cell.reasons})",
        apart=False,
    )
