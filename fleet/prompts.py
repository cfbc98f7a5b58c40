"""Prompts that no cache knows and whose length in tokens is known.

Each word below, with the space before it, is one token in the byte-pair vocabularies of the
common model families, so a text of W words has W tokens and a constant for what the engine adds
(BOS). The constant is measured on the engine itself, never assumed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

WORDS = (
    "the of and to in is that it was for on are as with his they at be this have from or one had "
    "by word but not what all were we when your can said there use each which she do how their if "
    "will up other about out many then them these so some her would make like him into time has"
).split()

NONCE_WORDS = 8
CALIBRATION_WORDS = 48
MOST_FITTING_TRIES = 4


def nonce(*parts: str | int) -> str:
    """Eight words made from the parts: the same on every machine, another for each request."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return "".join(" " + WORDS[byte % len(WORDS)] for byte in digest[:NONCE_WORDS])


def filled(nonce_text: str, words: int) -> str:
    """The nonce first, then common words in an order the nonce decides; `words` in all."""
    order = random.Random(nonce_text)
    rest = max(words - NONCE_WORDS, 0)
    return nonce_text + "".join(" " + order.choice(WORDS) for _ in range(rest))


def fit_words(count: Callable[[int], int], target_tokens: int, first_guess: int) -> int | None:
    """How many words give exactly `target_tokens`, asking `count(words)` for each try."""
    words = first_guess
    for _ in range(MOST_FITTING_TRIES):
        counted = count(words)
        if counted == target_tokens:
            return words
        tokens_per_word = max(counted / words, 1.0)
        words = max(words + round((target_tokens - counted) / tokens_per_word), NONCE_WORDS)
    return None
