"""Tables as plain aligned text: the same in a terminal, a file and an e-mail."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "


def aligned(titles: Sequence[str], rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """One line per row; columns whose title is a word of `right` stand at the right."""
    every = [list(titles), *map(list, rows)]
    kept = [i for i in range(len(titles)) if any(row[i] for row in every[1:])]
    widths = {i: max(len(row[i]) for row in every) for i in kept}
    to_right = {i for i in kept if titles[i] in right.split()}
    return [
        GAP.join(
            row[i].rjust(widths[i]) if i in to_right else row[i].ljust(widths[i]) for i in kept
        ).rstrip()
        for row in every
    ]
