"""Tables as plain aligned text, the same in a terminal, a file and an e-mail; and as Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fleet.terminal import cells, one_line

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
    every = [[one_line(cell) for cell in row] for row in ([titles, *rows] if titles else rows)]
    kept = [i for i in range(len(rows[0])) if any(row[i] for row in rows)]
    widths = {i: max(cells(row[i]) for row in every) for i in kept}
    to_right = {i for i in kept if titles and titles[i] in right}
    return [
        indent + GAP.join(_padded(row[i], widths[i], to_right=i in to_right) for i in kept).rstrip()
        for row in every
    ]


def _padded(text: str, width: int, *, to_right: bool) -> str:
    spaces = " " * (width - cells(text))
    return spaces + text if to_right else text + spaces


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of GitHub's Markdown, its cells as given; columns without content are left out."""
    kept = [i for i in range(len(titles)) if any(row[i] for row in rows)]
    lines = [[titles[i] for i in kept], ["---"] * len(kept)]
    lines += [[row[i] for i in kept] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "|*_`<\\" else letter for letter in text)
