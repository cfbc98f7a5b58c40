"""What stands after the nonce: an excerpt of our own plain English, or common words.

`everyday.txt` was written for this purpose: two dozen paragraphs on everyday subjects, ASCII.
Nothing in an excerpt repeats until the whole text has been used; a longer one goes on with the
paragraphs in another order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Literal

from fleet.prompts.words import WORDS

Text = Literal["natural", "synthetic"]

LAST_WORDS = 12
"""A natural body ends in so many words of its text, with the fillers before them, so that a
model finds a sentence to go on with, and a prompt fitted anew keeps its beginning in the cache."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How many words of the text make the length asked for, and how many one-token words."""

    words: int
    fillers: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """A seeded text; `fit` cuts it."""

    text: Text
    seed: str

    def cut(self, fit: Fit, after: int = 0) -> str:
        """`fit.words` words of it, the first `after` left out, with the fillers among them."""
        taken = list(islice(self._words(), after, after + fit.words))
        fillers = random.Random(f"fillers {self.seed}").choices(WORDS, k=fit.fillers)
        split = max(len(taken) - LAST_WORDS, 0)
        return "".join(f" {word}" for word in (*taken[:split], *fillers, *taken[split:]))

    def _words(self) -> Iterator[str]:
        chance = random.Random(self.seed)
        return _excerpt(chance) if self.text == "natural" else _common(chance)


def _common(chance: random.Random) -> Iterator[str]:
    while True:
        yield chance.choice(WORDS)


def _excerpt(chance: random.Random) -> Iterator[str]:
    """From the beginning of some paragraph on, around the whole text; then in other orders."""
    paragraphs = list(everyday())
    start = chance.randrange(len(paragraphs))
    order = paragraphs[start:] + paragraphs[:start]
    while True:
        for paragraph in order:
            yield from paragraph
        chance.shuffle(order)


@cache
def everyday() -> tuple[tuple[str, ...], ...]:
    """Words of each paragraph, punctuation with the word before it."""
    text = (Path(__file__).parent / "everyday.txt").read_text(encoding="ascii")
    return tuple(tuple(paragraph.split()) for paragraph in text.split("\n\n"))
