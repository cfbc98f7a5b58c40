"""How many words make exactly so many tokens, found by asking the engine to count; pure.

Words of a natural text have one token or several, so the number of words is brought near the
target from below, and the last few tokens are made of words that have one token each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from fleet.prompts.body import Fit
from fleet.prompts.words import NONCE_WORDS

SAMPLE_WORDS = 24
"""Few enough for the smallest context that can be asked for."""

MOST_COUNTS = 10
MOST_FILLERS = 40
CAUTION = 2.0
"""A guess that is too long might not fit the context, so each stays below the target."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What a vocabulary makes of words, measured on the engine."""

    nonce_tokens: int
    """Of a prompt that is only a nonce, with what the engine adds."""
    sample_tokens: int
    """Of a nonce and SAMPLE_WORDS words of the text."""

    @property
    def per_filler(self) -> int:
        """Tokens of one common word: the engine adds less than half a token for each of eight."""
        return max(round(self.nonce_tokens / NONCE_WORDS), 1)

    @property
    def per_word(self) -> float:
        return max((self.sample_tokens - self.nonce_tokens) / SAMPLE_WORDS, 1.0)


def fit(count: Callable[[Fit], int], target: int, base: int, scale: Scale) -> Fit:
    """The cut whose prompt has `target` tokens; `base` are those of the prompt without it.

    Asks `count` at most MOST_COUNTS times. Where the vocabulary allows no exact fit, the nearest
    that was counted.
    """
    tried: dict[Fit, int] = {}
    guess: Fit | None = _first(target - base, scale)
    while guess is not None and guess not in tried and len(tried) < MOST_COUNTS:
        tried[guess] = count(guess)
        if tried[guess] == target:
            return guess
        guess = _nearer(guess, target - tried[guess], tried[guess] - base, scale)
    return min(tried, key=lambda cut: abs(tried[cut] - target))


def _first(tokens: int, scale: Scale) -> Fit:
    if scale.per_word == scale.per_filler:  # the words of the sample had one size, so all have
        return Fit(max(tokens // scale.per_filler, 0))
    counted = scale.sample_tokens - scale.nonce_tokens
    return Fit(_surely_within(max(tokens, 0), counted, scale.per_word))


def _surely_within(tokens: int, counted: int, per_word: float) -> int:
    """Words that stay below `tokens`, judged from text of `counted` tokens.

    Sizes of words vary by less than their mean, so the sum of n more is known to within its
    square root, and the mean found from m words to within 1 / sqrt(m).
    """
    spread = math.sqrt(tokens * per_word * (1 + tokens / max(counted, 1)))
    return int(max(tokens - CAUTION * spread, 0) / per_word)


def _nearer(cut: Fit, missing: int, counted: int, scale: Scale) -> Fit | None:
    """The next cut to try, `missing` tokens longer; None where no word is small enough."""
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
