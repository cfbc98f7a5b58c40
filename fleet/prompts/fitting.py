"""Finds how many words make an exact number of tokens, by the counts of the engine; pure.

Words of a natural text have one token or several, so the number of words approaches the target from
below, and words with one token each make the last few tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fleet.prompts.body import Fit
from fleet.prompts.words import NONCE_WORDS

SAMPLE_WORDS = 24
"""Few enough for the smallest context that an experiment can set."""

MOST_COUNTS = 10
MOST_FILLERS = 40
CAUTION = 2.0
"""Each guess stays below the target by this factor: a longer one might not fit the context."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The tokens that a vocabulary makes of words, as the engine counts them."""

    nonce_tokens: int
    """The tokens of a nonce alone, with those that the engine adds."""
    sample_tokens: int
    """The tokens of a nonce and SAMPLE_WORDS words of the text."""

    @property
    def per_filler(self) -> int:
        """Tokens of one common word; the engine adds less than half a token for each word."""
        return max(round(self.nonce_tokens / NONCE_WORDS), 1)

    @property
    def per_word(self) -> float:
        """Tokens of one word of the text, on average."""
        return max((self.sample_tokens - self.nonce_tokens) / SAMPLE_WORDS, 1.0)


def fit(count: Callable[[Fit], int], target: int, base: int, scale: Scale) -> Fit:
    """Return the cut whose prompt has `target` tokens; `base`: tokens of the prompt without it.

    Calls `count` at most MOST_COUNTS times. If the vocabulary allows no exact fit, the result is
    the nearest cut that was counted.
    """
    counts: dict[Fit, int] = {}
    guess: Fit | None = _first(target - base, scale)
    while guess is not None and guess not in counts and len(counts) < MOST_COUNTS:
        counts[guess] = count(guess)
        if counts[guess] == target:
            return guess
        guess = _nearer(guess, target - counts[guess], counts[guess] - base, scale)
    return min(counts, key=lambda cut: abs(counts[cut] - target))


def _first(tokens: int, scale: Scale) -> Fit:
    if scale.per_word == scale.per_filler:  # the words of the sample had one size, so all have
        return Fit(max(tokens // scale.per_filler, 0))
    counted = scale.sample_tokens - scale.nonce_tokens
    return Fit(_surely_within(max(tokens, 0), counted, scale.per_word))


def _surely_within(tokens: int, counted: int, per_word: float) -> int:
    """Return a number of words that stays below `tokens`, judged from `counted` tokens of text.

    Sizes of words vary by less than their mean, so the sum of n more words is known to within its
    square root, and the mean of m words to within 1 / sqrt(m).
    """
    spread = math.sqrt(tokens * per_word * (1 + tokens / max(counted, 1)))
    return int(max(tokens - CAUTION * spread, 0) / per_word)


def _nearer(cut: Fit, missing: int, counted: int, scale: Scale) -> Fit | None:
    """Return the next cut, `missing` tokens longer; None: no word is small enough."""
    unit = scale.per_filler
    in_words = counted - cut.fillers * unit
    per_word = max(in_words / cut.words, 1.0) if cut.words else scale.per_word
    if missing > MOST_FILLERS * unit:
        more = _surely_within(missing, in_words, per_word)
        return Fit(cut.words + max(more, 1), cut.fillers)
    if missing > 0:
        return None if missing < unit else Fit(cut.words, cut.fillers + missing // unit)
    if cut.fillers * unit >= -missing:
        return Fit(cut.words, cut.fillers - math.ceil(-missing / unit))
    fewer = max(cut.words - math.ceil(-missing / per_word) - 1, 0)
    return None if fewer == cut.words else Fit(fewer, cut.fillers)
