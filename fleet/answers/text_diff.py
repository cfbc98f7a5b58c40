"""Where two texts part, and how they differ word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

from fleet.answers.nouns import Contrast, Parting, Piece

MOST_WORDS = 4000
"""Of longer texts what follows the first difference is shown whole: matching takes quadratic
time."""

Texts = tuple[str, str]
"""Thinking and answer of one output."""

_TOKEN = re.compile(r"\s+|\S+")


def contrast(left: str, right: str, of_left: Texts, of_right: Texts) -> Contrast:
    """Of the thinking where that differs, since it came first; else of the answer."""
    in_thinking = of_left[0] != of_right[0]
    one, other = (of_left[0], of_right[0]) if in_thinking else (of_left[1], of_right[1])
    return Contrast(
        left=left,
        right=right,
        parting=parting(one, other, "thinking" if in_thinking else "answer"),
        pieces=tuple(pieces(one, other)),
    )


def parting(left: str, right: str, where: Literal["thinking", "answer"] = "answer") -> Parting:
    """Parts between words, never within one."""
    one, other = _TOKEN.findall(left), _TOKEN.findall(right)
    same = _common(one, other)
    return Parting(
        where=where,
        common="".join(one[:same]),
        common_words=sum(not token.isspace() for token in one[:same]),
        left="".join(one[same:]),
        right="".join(other[same:]),
    )


def pieces(left: str, right: str) -> Iterator[Piece]:
    """`same` and `left` pieces in order are the left text, `same` and `right` ones the right."""
    one, other = _TOKEN.findall(left), _TOKEN.findall(right)
    head = _common(one, other)
    tail = _common(one[head:][::-1], other[head:][::-1])
    yield from _piece("same", one[:head])
    yield from _middle(one[head : len(one) - tail], other[head : len(other) - tail])
    yield from _piece("same", one[len(one) - tail :])


def _middle(one: Sequence[str], other: Sequence[str]) -> Iterator[Piece]:
    if max(len(one), len(other)) > MOST_WORDS:
        yield from _piece("left", one)
        yield from _piece("right", other)
        return
    for kind, a, b, c, d in SequenceMatcher(None, one, other).get_opcodes():
        if kind == "equal":
            yield from _piece("same", one[a:b])
        else:
            yield from _piece("left", one[a:b])
            yield from _piece("right", other[c:d])


def _piece(kind: Literal["same", "left", "right"], tokens: Sequence[str]) -> Iterator[Piece]:
    if tokens:
        yield kind, "".join(tokens)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    parted = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(parted, min(len(one), len(other)))
