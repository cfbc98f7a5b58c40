"""The body of a prompt: an excerpt of our own plain English, or common words.

`everyday.txt` was written for this purpose: two dozen paragraphs on everyday subjects, in ASCII.
No excerpt repeats anything until the whole text has been used; a longer excerpt continues with the
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
"""A natural body ends in so many words of its text, with the fillers before them: the model has a
sentence to continue, and a prompt that is fitted again keeps its beginning in the cache."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The numbers of words of the text, and of one-token words, that make the requested length."""

    words: int
    fillers: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """A seeded text; `fit` cuts it."""

    text: Text
    seed: str

    def cut(self, fit: Fit, after: int = 0) -> str:
        """Return `fit.words` words of the text without the first `after`, with the fillers."""
        words = list(islice(self._words(), after, after + fit.words))
        fillers = random.Random(f"fillers {self.seed}").choices(WORDS, k=fit.fillers)
        split = max(len(words) - LAST_WORDS, 0)
        return "".join(f" {word}" for word in (*words[:split], *fillers, *words[split:]))

    def _words(self) -> Iterator[str]:
        chance = random.Random(self.seed)
        return _excerpt(chance) if self.text == "natural" else _common(chance)


def _common(chance: random.Random) -> Iterator[str]:
    while True:
        yield chance.choice(WORDS)


def _excerpt(chance: random.Random) -> Iterator[str]:
    """Yield the whole text from a random paragraph on, then its paragraphs in other orders."""
    paragraphs = list(everyday())
    start = chance.randrange(len(paragraphs))
    order = paragraphs[start:] + paragraphs[:start]
    while True:
        for paragraph in order:
            yield from paragraph
        chance.shuffle(order)


@cache
def everyday() -> tuple[tuple[str, ...], ...]:
    """Return the words of each paragraph, punctuation with the word before it."""
    text = (Path(__file__).parent / "everyday.txt").read_text(encoding="ascii")
    return tuple(tuple(paragraph.split()) for paragraph in text.split("\n\n"))
