"""Writes tables as plain text, alike in a terminal and a file, and as Markdown and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from fleet.terminal import (
    BETWEEN_QUANTITIES,
    BETWEEN_WORDS,
    cells,
    figures_wrapped,
    one_line,
    wrapped,
)

GAP = "  "
LEAST_NAME = 12
"""Letters that a name keeps when it is cut."""
CUT = "..."
SENTENCE_BEGINS = 0.6
"""Part of the width: a sentence that would begin behind it stands in a line of its own."""
WIDER = "a wider terminal shows them, --json all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    title: str
    right: bool = False
    """Its content stands at the right, as numbers do."""
    rank: int = 0
    """0: always shown. Of the others, the highest is left out first where the width is short."""
    shared: bool = False
    """Where all rows have the same value and the width is short, it is said once below."""
    words: bool = False
    """A list of words: those that all rows have are then said once below."""


def fitted(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int | None,
    *,
    titled: bool = True,
    wider: str = WIDER,
) -> list[str]:
    """Write a line per row that fits the width, then what was left out; None: no limit.

    Columns without content are left out. `wider` says how to see what the width has hidden.
    """
    if not rows:
        return []
    table = _Table(columns, rows, titled=titled)
    notes = [] if width is None else table.fit(width, wider)
    return [
        *table.lines(),
        *(part for note in notes for part in figures_wrapped(note, width or 0, GAP)),
    ]


class _Table:
    """Columns that are taken away until the table fits."""

    def __init__(
        self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, titled: bool
    ) -> None:
        self._rows = [[one_line(cell) for cell in row] for row in rows]
        self._columns = columns
        self._titled = titled
        self._kept = [at for at in range(len(columns)) if any(row[at] for row in self._rows)]
        self._limits: dict[int, int] = {}
        """Width of the columns whose cells go on below themselves."""

    def lines(self) -> list[str]:
        kept = [self._columns[at] for at in self._kept]
        right = [column.title for column in kept if column.right]
        titles = [column.title for column in kept] if self._titled else ()
        body = [line for row in self._rows for line in self._row_lines(row)]
        return aligned(titles, body, right=right)

    def _row_lines(self, row: Sequence[str]) -> list[list[str]]:
        parts = [
            wrapped(row[at], self._limits[at], "", between=self._breaks(at))
            if at in self._limits
            else [row[at]]
            for at in self._kept
        ]
        return [list(line) for line in zip_longest(*parts, fillvalue="")]

    def fit(self, width: int, wider: str) -> list[str]:
        """Take away what does not fit, and return notes of it; a table that fits stays."""
        shared = self._share(width)
        left_out = self._leave_out(width)
        self._fold(width)
        cut = self._cut_names(width)
        notes = [f"all rows: {', '.join(shared)}"] if shared else []
        notes += [f"left out: {', '.join(left_out)} ({wider})"] if left_out else []
        return notes + ([f"cut: {', '.join(cut)}"] if cut else [])

    def _share(self, width: int) -> list[str]:
        shared = []
        for at in list(self._kept):
            may = self._columns[at].shared and len(self._rows) > 1
            if may and self._width() > width and (same := self._taken_out(at)):
                shared.append(f"{self._columns[at].title} {same}")
        return shared

    def _taken_out(self, at: int) -> str:
        """Take what all rows share out of a column, and return it."""
        values = [row[at] for row in self._rows]
        if len(set(values)) == 1:
            self._kept.remove(at)
            return values[0]
        if not self._columns[at].words:
            return ""
        lists = [value.split() for value in values]
        same = [word for word in lists[0] if all(word in words for words in lists)]
        for row, words in zip(self._rows, lists, strict=True):
            row[at] = " ".join(word for word in words if word not in same)
        return " ".join(same)

    def _leave_out(self, width: int) -> list[str]:
        left_out = []
        for at in sorted(self._kept, key=lambda at: -self._columns[at].rank):
            if self._columns[at].rank and self._width() > width:
                self._kept.remove(at)
                left_out.append(at)
        return [self._columns[at].title for at in sorted(left_out)]

    def _fold(self, width: int) -> None:
        """Break cells of several words into lines, the longest first, but never a word."""
        for at in sorted(self._kept, key=self._longest, reverse=True):
            too_much = self._width() - width
            title = cells(self._columns[at].title) if self._titled else 0
            parts = [part for row in self._rows for part in self._breaks(at).split(row[at])]
            least = max(title, *map(cells, parts))
            if too_much > 0 and least < self._longest(at):
                self._limits[at] = max(least, self._longest(at) - too_much)

    def _breaks(self, at: int) -> re.Pattern[str]:
        """Return where a cell may break: never between a number and its unit."""
        return BETWEEN_QUANTITIES if self._columns[at].right else BETWEEN_WORDS

    def _cut_names(self, width: int) -> list[str]:
        """Cut the longest names in their middle, and return notes with the whole ones."""
        cut: dict[str, str] = {}
        for at in sorted(self._kept, key=self._longest, reverse=True):
            letters = max(self._longest(at) - (self._width() - width), LEAST_NAME)
            if letters >= self._longest(at) or at in self._limits:
                continue
            short = shortened([row[at] for row in self._rows], letters)
            cut |= {short[name]: name for name in short if short[name] != name}
            for row in self._rows:
                row[at] = short[row[at]]
        return [f"{short} is {name}" for short, name in cut.items()]

    def _width(self) -> int:
        return sum(map(self._width_of, self._kept)) + len(GAP) * (len(self._kept) - 1)

    def _width_of(self, at: int) -> int:
        return max(cells(self._columns[at].title) if self._titled else 0, self._longest(at))

    def _longest(self, at: int) -> int:
        longest = max(cells(row[at]) for row in self._rows)
        return min(longest, self._limits.get(at, longest))


def shortened(names: Sequence[str], letters: int) -> dict[str, str]:
    """Shorten each name to so many letters at most, and no two names alike."""
    short_names: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short = middle_cut(name, letters)
        number = 2
        while short in short_names.values():
            mark = f"{CUT}#{number}"
            short, number = name[: max(letters - len(mark), 1)] + mark, number + 1
        short_names[name] = short
    return short_names


def middle_cut(text: str, letters: int) -> str:
    """Cut a text in its middle, since both ends tell as much: `hf.co/unsloth...Q4_K_M`."""
    if cells(text) <= letters:
        return text
    tail = (letters - len(CUT)) // 2
    return f"{text[: letters - len(CUT) - tail]}{CUT}{text[len(text) - tail :]}"


def aligned(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[str] = (),
    indent: str = "",
) -> list[str]:
    """Write one line per row, under its titles if there are any, without empty columns.

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


def described(rows: Sequence[Sequence[str]], width: int | None, indent: str = "") -> list[str]:
    """Write rows whose last cell is a sentence, which goes on below where the width ends."""
    heads = [[*row[:-1], "."] for row in rows]
    lines: list[str] = []
    for head, row in zip(aligned((), heads, indent=indent), rows, strict=True):
        before, sentence = head[:-1], one_line(row[-1])
        own = " " * (len(sentence) - len(sentence.lstrip()))
        if width is None or cells(before + sentence) <= width:
            lines.append((before + sentence).rstrip())
        elif _too_narrow(before, sentence, width):
            lines += [
                *figures_wrapped(before.rstrip(), width),
                *figures_wrapped(f"    {sentence}", width),
            ]
        else:
            lines += figures_wrapped((before + sentence).rstrip(), width, " " * cells(before) + own)
    return lines


def _too_narrow(before: str, sentence: str, width: int) -> bool:
    longest = max(map(cells, sentence.split()), default=0)
    return cells(before) > min(SENTENCE_BEGINS * width, width - longest)


def _padded(text: str, width: int, *, to_right: bool) -> str:
    spaces = " " * (width - cells(text))
    return spaces + text if to_right else text + spaces


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table of GitHub's Markdown, its cells as given, without empty columns."""
    kept = [i for i in range(len(titles)) if any(row[i] for row in rows)]
    lines = [[titles[i] for i in kept], ["---"] * len(kept)]
    lines += [[row[i] for i in kept] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def escape(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "|*_`<\\" else letter for letter in text)


def comma_separated(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write CSV by RFC 4180; a cell with a comma, a quote or a line break is quoted."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([titles, *rows])
    return lines.getvalue().splitlines()
