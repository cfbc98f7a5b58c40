"""Names the cells that a comparison has read and does not compare, in a few lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from fleet.compare.left_out import NOT_NAMED, CellLeftOut
from fleet.units import show_count

MOST_REASONS = 5


def not_compared_lines(left_out: Iterable[CellLeftOut]) -> Iterator[str]:
    """Yield a line for each reason, but for what the user left out by naming sides."""
    cells, trials = Counter[str](), Counter[str]()
    for cell in left_out:
        if not cell.apart and cell.reason != NOT_NAMED:
            cells[cell.reason] += 1
            trials[cell.reason] += cell.trials
    reasons = sorted(cells, key=lambda reason: (-cells[reason], reason))
    for reason in reasons[:MOST_REASONS]:
        yield f"not compared: {_how_many(cells[reason], trials[reason])}: {reason}"
    if more := reasons[MOST_REASONS:]:
        total = _how_many(sum(cells[r] for r in more), sum(trials[r] for r in more))
        others = show_count(len(more), "more reason")
        yield f"not compared: {total} for {others} (--json lists them)"


def _how_many(cells: int, trials: int) -> str:
    return f"{show_count(cells, 'cell')} ({show_count(trials, 'trial')})"
