"""What became of every request of a measured trial: valid, left out by its flags, or a warm-up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from fleet.errors import FleetError
from fleet.query.open_store import Row, rows
from fleet.query.views import question

Key = tuple[object, ...]


@dataclass(slots=True, kw_only=True)
class RequestCounts:
    """Of one cell and point, over all its trials; each request is counted once."""

    row: Row
    valid: int = 0
    warm_ups: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    """By the flags of a request: `short`, `short clock`."""

    @property
    def sent(self) -> int:
        return self.valid + self.warm_ups + sum(self.left_out.values())

    def shared(self, cells: Sequence[Row]) -> Iterator[RequestCounts]:
        """Among the rows of one cell, such as one before and one after an update: each has its own
        valid requests, and the first one all that is left out and the warm-ups."""
        for at, cell in enumerate(cells):
            valid = int(str(cell["requests"]))
            yield RequestCounts(row=cell, valid=valid) if at else replace(self, valid=valid)


def request_counts(
    con: duckdb.DuckDBPyConnection, experiment: str | None, key: Callable[[Row], Key]
) -> dict[Key, RequestCounts]:
    found: dict[Key, RequestCounts] = {}
    for row in rows(con, question("requests_of_cells"), [experiment]):
        own = found.setdefault(key(row), RequestCounts(row=row))
        count, flags = int(str(row["requests"])), str(row["flags"])
        if row["warmup"]:
            own.warm_ups += count
        elif flags:
            own.left_out[flags] = count
        else:
            own.valid += count
    return found


def check_sums(told: Iterable[int], sent: Iterable[RequestCounts]) -> None:
    """Raises FleetError where requests are lost, or counted twice, on the way to the cells."""
    accounted, every = sum(told), sum(each.sent for each in sent)
    if accounted != every:
        raise FleetError(
            f"internal error: {every} requests were sent and {accounted} are accounted for",
            "please report it, with what was typed",
        )
