"""Counts what became of every request of a measured trial: valid, left out, or a warm-up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from fleet.errors import FleetError
from fleet.query.open_store import Row, rows
from fleet.query.typed import decode
from fleet.query.views import question

CELL_COLUMNS = ("experiment", "session", "machine_id", "machine", "model", "job", "settings")
CellKey = tuple[object, ...]
"""The values of CELL_COLUMNS, and the point."""


def cell_key(row: Row) -> CellKey:
    """Return what names a cell and point in the rows of `results.sql` and its like."""
    return tuple(row[name] for name in (*CELL_COLUMNS, "point"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Requests:
    """Requests with the same fate, as a row of `requests_of_cells.sql`."""

    warmup: bool
    flags: str
    requests: int


@dataclass(slots=True, kw_only=True)
class RequestCounts:
    """The requests of one cell and point over all its trials, each counted once."""

    row: Row
    """A row of `requests_of_cells.sql`, which names the cell."""
    valid: int = 0
    warm_ups: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """By the flags of a request: `short`, `short clock`."""

    @property
    def sent(self) -> int:
        return self.valid + self.warm_ups + sum(self.left_out.values())

    def shared(self, valid: Sequence[int]) -> Iterator[RequestCounts]:
        """Share the counts among the rows of one cell, such as before and after an update.

        Each has its own valid requests, and the first one all that is left out and the warm-ups.
        """
        for at, own in enumerate(valid):
            yield RequestCounts(row=self.row, valid=own) if at else replace(self, valid=own)


def request_counts(
    con: duckdb.DuckDBPyConnection, experiment: str | None
) -> dict[CellKey, RequestCounts]:
    """Count the requests of each cell and point."""
    counts: dict[CellKey, RequestCounts] = {}
    for row in rows(con, question("requests_of_cells"), [experiment]):
        own = counts.setdefault(cell_key(row), RequestCounts(row=row))
        alike = decode(_Requests, row)
        if alike.warmup:
            own.warm_ups += alike.requests
        elif alike.flags:
            own.left_out[alike.flags] = alike.requests
        else:
            own.valid += alike.requests
    return counts


def check_sums(accounted: Iterable[int], counts: Iterable[RequestCounts]) -> None:
    """Raise FleetError where requests are lost, or counted twice, on the way to the cells."""
    total, sent = sum(accounted), sum(each.sent for each in counts)
    if total != sent:
        raise FleetError(
            f"internal error: {sent} requests were sent and {total} are accounted for",
            "please report it, with what was typed",
        )
