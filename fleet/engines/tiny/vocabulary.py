"""A byte-pair vocabulary in which every listed word, with the space before it, is one token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

NORMAL, CONTROL = 1, 3
"""Values of tokenizer.ggml.token_type."""

_CONSONANTS = "bdfghjklmnprstvwxyz"
_VOWELS = "aeiou"

_ROLE_WORDS = ("system", "user", "assistant", "developer", "analysis", "commentary", "final")
"""Chat roles and harmony channels: one token each, without a space."""

_COMMON_WORDS = (
    "the of and to in is that it was for on are as with his they at be this have from or one had "
    "by word but not what all were we when your can said there use an each which she do how their "
    "if will up other about out many then them these so some her would make like him into time has "
    "look two more write go see number no way could people my than first water been call who oil "
    "its now find long down day did get come made may part model answer question"
).split()
"""A little plain English, so that ordinary prompts are not pure bytes."""

_NO_MERGE = 1 << 60


def _byte_letters() -> dict[int, str]:
    """Return the GPT-2 mapping of the 256 bytes to printable characters."""
    letters = {b: chr(b) for b in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))}
    hidden = [b for b in range(256) if b not in letters]
    letters.update({b: chr(256 + place) for place, b in enumerate(hidden)})
    return dict(sorted(letters.items()))


_LETTERS = _byte_letters()


def encoded(text: str) -> str:
    return "".join(_LETTERS[byte] for byte in text.encode())


@dataclass(slots=True)
class Vocabulary:
    tokens: list[str] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    words: list[int] = field(default_factory=list)
    """Ids of the " word" tokens that answers are made of."""
    _ranks: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, token: str, kind: int = NORMAL) -> int:
        self.ids[token] = len(self.tokens)
        self.tokens.append(token)
        self.types.append(kind)
        return self.ids[token]

    def add_word(self, text: str, limit: int) -> bool:
        """Make `text` one token; False where that would take the vocabulary over `limit`."""
        piece = encoded(text)
        parts = self._split(piece)
        if len(self.tokens) + len(parts) - 1 > limit:
            return False
        # A later merge never changes how an earlier word is split: every step of the earlier
        # word had an older, preferred merge available until it was one token.
        while len(parts) > 1:
            left, right = parts[0], parts[1]
            if left + right not in self.ids:
                self.add(left + right)
            self._ranks[left, right] = len(self.merges)
            self.merges.append(f"{left} {right}")
            parts = self._split(piece)
        return True

    def _split(self, piece: str) -> list[str]:
        parts = list(piece)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, _NO_MERGE) for pair in pairwise(parts)]
            best = min(range(len(ranks)), key=ranks.__getitem__)
            if ranks[best] == _NO_MERGE:
                break
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        return parts


def build(size: int, specials: Sequence[str], plain: Sequence[str] = ()) -> Vocabulary:
    """Bytes, role words, English, pseudo words to fill, then `plain` whole texts and specials."""
    limit = size - len(specials) - len(plain)
    if limit < 400:
        raise ValueError("a vocabulary needs at least 512 tokens")
    vocabulary = Vocabulary()
    for letter in _LETTERS.values():
        vocabulary.add(letter)
    for word in _ROLE_WORDS:
        vocabulary.add_word(word, limit)
    _fill(vocabulary, limit)
    for text in plain:
        vocabulary.add(encoded(text))
    for text in specials:
        vocabulary.add(text, CONTROL)
    return vocabulary


def _fill(vocabulary: Vocabulary, limit: int) -> None:
    syllables = [consonant + vowel for consonant in _CONSONANTS for vowel in _VOWELS]
    texts = [
        *_COMMON_WORDS,
        *syllables,
        *(first + second for first in syllables for second in syllables),
    ]
    for text in texts:
        if not vocabulary.add_word(f" {text}", limit):
            break
        token = vocabulary.ids[encoded(f" {text}")]
        if token not in vocabulary.words:
            vocabulary.words.append(token)
    filler = 0
    while len(vocabulary.tokens) < limit:  # no merge leads here: never part of a prompt
        vocabulary.add(encoded(f" x{filler}"))
        filler += 1
