"""Tables as plain aligned text: the same in a terminal, a file and an e-mail."""

from __future__ import annotations

from collections.abc import Collection, Sequence

GAP = "  "


def aligned(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    indent: str = "",
) -> list[str]:
    """One line per row, under its titles if there are any; columns without content are left out.

    `right`: titles of the columns whose content stands at the right.
    """
    if not rows:
        return []
    every = [list(titles), *map(list, rows)] if titles else [list(row) for row in rows]
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
    widths = {i: max(len(row[i]) for row in every) for i in kept}
    to_right = {i for i in kept if titles and titles[i] in right}
    return [
        indent
        + GAP.join(
            row[i].rjust(widths[i]) if i in to_right else row[i].ljust(widths[i]) for i in kept
        ).rstrip()
        for row in every
    ]
