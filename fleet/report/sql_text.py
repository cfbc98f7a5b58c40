"""The rows of any query as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fleet.report.tables import Column, fitted, middle_cut
from fleet.units import show_count

MOST_ROWS = 200
WIDTH_SHARE, LEAST_LETTERS = 3, 16
"""A value may take one part in so many of the width, and always so many letters."""
WIDER = "name the columns you want, or --json prints all"


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[object]], width: int | None
) -> list[str]:
    """Return the columns that fit, from the first on; long values are cut in the middle."""
    if not rows:
        return ["no rows"]
    most = sys.maxsize if width is None else max(width // WIDTH_SHARE, LEAST_LETTERS)
    texts = [list(map(_text, row)) for row in rows[:MOST_ROWS]]
    cut = sum(len(text) > most for row in texts for text in row)
    cells = [[middle_cut(text, most) for text in row] for row in texts]
    heads = [
        Column(title=name, rank=at, right=_are_numbers(rows, at)) for at, name in enumerate(columns)
    ]
    lines = fitted(heads, cells, width, wider=WIDER)
    return [*lines, f"cut: {show_count(cut, 'long value')} (--json prints all)"] if cut else lines


def _text(value: object) -> str:
    """Write six digits of a fraction; JSON has all of them."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1e5 else f"{value:.6g}"
    return "" if value is None else str(value)


def _are_numbers(rows: Sequence[Sequence[object]], at: int) -> bool:
    values = [row[at] for row in rows if row[at] is not None]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)
