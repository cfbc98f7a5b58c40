"""How text takes its place on a terminal: its width in columns, line breaks, and what must not
reach a terminal raw. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

JOINERS = "\u200c\u200d\u00ad"
"""Parts of words and of emoji."""
BYTE_ORDER_MARK = "\ufeff"
STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def plain(text: str) -> str:
    """Text from outside may hold anything: what would steer a terminal, or turn the direction of
    writing, is shown as `\\x1b` and does nothing."""
    tidy = text.replace("\r\n", "\n").replace("\t", "    ")
    return tidy if tidy.isascii() and tidy.isprintable() else "".join(map(_shown, tidy))


def one_line(text: str) -> str:
    """The same in one line, for a table or a message."""
    return plain(text.replace("\n", " "))


def _shown(letter: str) -> str:
    if letter == "\n" or unicodedata.category(letter) not in STEERING:
        return letter
    if letter in JOINERS:
        return letter
    return "" if letter == BYTE_ORDER_MARK else letter.encode("unicode_escape").decode()


def cells(text: str) -> int:
    """Columns of a terminal that the text takes: wide letters take two, marks none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(letter: str) -> int:
    if letter.isascii():
        return 1
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def wrapped_all(lines: Iterable[str], width: int) -> list[str]:
    return [part for line in lines for part in wrapped(line, width)]


def wrapped(line: str, width: int, indent: str | None = None) -> list[str]:
    """Between words where that is possible; what follows stands under the first word, or under
    `indent`. The spaces between words stay as they are, but for those at a break."""
    if cells(line) <= width:
        return [line]
    own = line[: len(line) - len(line.lstrip())][: width // 2]
    below = own if indent is None else indent
    lines, current, gap = [], own, ""
    for word, after in _words(line):
        joined = current + gap + word
        if cells(joined) <= width:
            current, gap = joined, after
            continue
        lines += [current] if current.strip() else []
        *full, current = _broken(below + word, width, below)
        lines += full
        gap = after
    return [*lines, current]


def _words(line: str) -> Iterator[tuple[str, str]]:
    """Each word with the spaces that follow it."""
    rest = line.lstrip()
    while rest:
        word = rest.split(" ", 1)[0]
        behind = rest[len(word) :]
        rest = behind.lstrip(" ")
        yield word, behind[: len(behind) - len(rest)]


def _broken(word: str, width: int, indent: str) -> Iterator[str]:
    """A word longer than a line, in pieces."""
    piece = ""
    for letter in word:
        if cells(piece) + _cells(letter) > width:
            yield piece
            piece = indent
        piece += letter
    yield piece
