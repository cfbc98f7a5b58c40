"""Finds the first difference of two texts, and how they differ word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

from fleet.answers.nouns import FirstDifference, Piece, TextContrast

MOST_WORDS = 4000
"""Of longer texts what follows the first difference is shown whole: matching takes quadratic
time."""

Texts = tuple[str, str]
"""Thinking and answer of one output."""

_TOKEN = re.compile(r"\s+|\S+")


def text_contrast(left: str, right: str, of_left: Texts, of_right: Texts) -> TextContrast:
    """Set the thinking of two outputs against each other where that differs, else the answers."""
    in_thinking = of_left[0] != of_right[0]
    texts = (of_left[0], of_right[0]) if in_thinking else (of_left[1], of_right[1])
    return TextContrast(
        left=left,
        right=right,
        first_difference=first_difference(*texts, "thinking" if in_thinking else "answer"),
        pieces=tuple(pieces(*texts)),
    )


def first_difference(
    left: str, right: str, where: Literal["thinking", "answer"] = "answer"
) -> FirstDifference:
    """Find the first word that differs."""
    tokens, others = _TOKEN.findall(left), _TOKEN.findall(right)
    same = _common(tokens, others)
    return FirstDifference(
        where=where,
        common="".join(tokens[:same]),
        common_words=sum(not token.isspace() for token in tokens[:same]),
        left="".join(tokens[same:]),
        right="".join(others[same:]),
    )


def pieces(left: str, right: str) -> Iterator[Piece]:
    """Split two texts: `same` and `left` pieces are the left one, `same` and `right` the right."""
    tokens, others = _TOKEN.findall(left), _TOKEN.findall(right)
    head = _common(tokens, others)
    tail = _common(tokens[head:][::-1], others[head:][::-1])
    yield from _piece("same", tokens[:head])
    yield from _middle(tokens[head : len(tokens) - tail], others[head : len(others) - tail])
    yield from _piece("same", tokens[len(tokens) - tail :])


def _middle(tokens: Sequence[str], others: Sequence[str]) -> Iterator[Piece]:
    if max(len(tokens), len(others)) > MOST_WORDS:
        yield from _piece("left", tokens)
        yield from _piece("right", others)
        return
    for kind, a, b, c, d in SequenceMatcher(None, tokens, others).get_opcodes():
        if kind == "equal":
            yield from _piece("same", tokens[a:b])
        else:
            yield from _piece("left", tokens[a:b])
            yield from _piece("right", others[c:d])


def _piece(kind: Literal["same", "left", "right"], tokens: Sequence[str]) -> Iterator[Piece]:
    if tokens:
        yield kind, "".join(tokens)


def _common(tokens: Sequence[str], others: Sequence[str]) -> int:
    unequal = (at for at, (a, b) in enumerate(zip(tokens, others, strict=False)) if a != b)
    return next(unequal, min(len(tokens), len(others)))
