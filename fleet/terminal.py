"""Text on a terminal: its width in columns, line breaks, and escaped characters; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

BETWEEN_COLUMNS = re.compile(r" {2,}")
BETWEEN_WORDS = re.compile(r" +")
BETWEEN_QUANTITIES = re.compile(r"(?<![\d>=]) +|(?<=[A-Za-z]\d) +|(?<=[A-Za-z]\d\d\d) +| +(?=\w+=)")
"""No break between a number and its unit; `pp512` is no number, and `num_batch=512` no unit."""

JOINERS = "\u200c\u200d\u00ad"
"""Parts of words and of emoji."""
DELETE = "\x7f"
"""The control character that JSON leaves as it is."""
BYTE_ORDER_MARK = "\ufeff"
STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def plain(text: str) -> str:
    """Return text from outside with its control characters, also those of direction, as `\\x1b`."""
    tidy = text.replace("\r\n", "\n").replace("\t", "    ")
    return tidy if tidy.isascii() and tidy.isprintable() else "".join(map(_shown, tidy))


def one_line(text: str) -> str:
    """Return the same text in one line, for a table or a message."""
    return plain(text.replace("\n", " "))


def json_escaped(text: str) -> str:
    """Return JSON in which every character that steers a terminal is written as `\\u202e`."""
    if text.isascii() and DELETE not in text:
        return text
    return "".join(letter if _shown(letter) == letter else _json_shown(letter) for letter in text)


def _json_shown(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _shown(letter: str) -> str:
    if letter == "\n" or unicodedata.category(letter) not in STEERING:
        return letter
    if letter in JOINERS:
        return letter
    return "" if letter == BYTE_ORDER_MARK else letter.encode("unicode_escape").decode()


def cells(text: str) -> int:
    """Return the columns of the text on a terminal: wide letters have two, marks none."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(letter: str) -> int:
    if letter.isascii():
        return 1
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def wrapped_all(lines: Iterable[str], width: int) -> list[str]:
    """Return all lines, each wrapped to the width."""
    return [part for line in lines for part in wrapped(line, width)]


def wrapped(
    line: str, width: int, indent: str | None = None, *, between: re.Pattern[str] = BETWEEN_WORDS
) -> list[str]:
    """Return the line in pieces of the width, broken between columns, else between words.

    Later pieces stand under the first word, or under `indent`. Spaces are lost only at a break.
    """
    if cells(line) <= width:
        return [line]
    own = line[: len(line) - len(line.lstrip())][: width // 2]
    below = own if indent is None else indent
    lines, current, gap = [], own, ""
    for column, after_column in _split(line.strip(), BETWEEN_COLUMNS):
        whole = cells(current + gap + column) <= width or (
            cells(current) > width / 2 and cells(below + column) <= width
        )
        pieces = [(column, "")] if whole else list(_split(column, between))
        for piece, after in pieces:
            joined = current + gap + piece
            if cells(joined) > width:
                lines += [current] if current.strip() else []
                *full, joined = _broken(below + piece, width, below)
                lines += full
            current, gap = joined, after
        gap = after_column
    return [*lines, current]


def figures_wrapped(line: str, width: int, indent: str | None = None) -> list[str]:
    """Return the line in pieces of the width; no break parts a number from its unit."""
    return wrapped(line, width, indent, between=BETWEEN_QUANTITIES)


def _split(line: str, between: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    begin = 0
    for match in between.finditer(line):
        yield line[begin : match.start()], match[0]
        begin = match.end()
    yield line[begin:], ""


def _broken(word: str, width: int, indent: str) -> Iterator[str]:
    """Yield the pieces of a word that is longer than a line."""
    piece = ""
    for letter in word:
        if cells(piece) + _cells(letter) > width:
            yield piece
            piece = indent
        piece += letter
    yield piece
