"""Which token follows which: the walk that a tiny model's text takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from fleet.engines.tiny.sizes import Kind, Sizes
from fleet.engines.tiny.templates import HARMONY_BRIDGE
from fleet.engines.tiny.vocabulary import CONTROL, Vocabulary, encoded


@dataclass(slots=True)
class Chain:
    follower: dict[int, int] = field(default_factory=dict)
    """Most likely token after each."""
    fallback: int | None = None
    """Where a token without a follower leads."""
    allowed: set[int] = field(default_factory=set)
    """Special tokens that may be written."""

    def walk(self, tokens: Sequence[int]) -> None:
        self.follower.update(pairwise(tokens))

    def forbidden(self, vocabulary: Vocabulary) -> list[int]:
        """Return special tokens that must never be written, an end by accident among them."""
        control = (token for token, kind in enumerate(vocabulary.types) if kind == CONTROL)
        return [token for token in control if token not in self.allowed]


def build(kind: Kind, vocabulary: Vocabulary, words: Sequence[int], sizes: Sizes) -> Chain:
    """`words` in the order of the walk; thinking takes the first, the answer the others."""
    chain = Chain()
    thinking_words = sizes.think_words if kind == "gpt-oss" else 0
    if max(thinking_words, sizes.stop_after) > len(words) // 2:
        raise ValueError(f"think_words and stop_after may be {len(words) // 2} at most")
    thinking, answer = list(words[:thinking_words]), list(words[thinking_words:])
    end = vocabulary.ids["<|im_end|>" if kind == "llama" else "<|return|>"]
    if sizes.stop_after:
        answer = answer[: sizes.stop_after]
        chain.walk([*answer, end])
        chain.allowed.add(end)
    else:
        chain.walk([*answer, answer[0]])
    if kind == "gpt-oss":
        _harmony(chain, vocabulary, thinking, answer[0])
    _enter(chain, vocabulary, answer, at_the_start=bool(sizes.stop_after))
    return chain


def _harmony(chain: Chain, vocabulary: Vocabulary, thinking: list[int], answer: int) -> None:
    ids = vocabulary.ids
    channel, message = ids["<|channel|>"], ids["<|message|>"]
    chain.walk([ids["<|start|>"], ids["assistant"], channel])
    chain.walk([channel, ids["analysis" if thinking else "final"]])
    for name in ("analysis", "commentary", "final"):
        chain.walk([ids[name], message])
    chain.allowed |= {channel, message}
    if not thinking:
        chain.walk([message, answer])
        return
    chain.walk([message, *thinking, ids["<|end|>"], ids[encoded(HARMONY_BRIDGE)], answer])
    chain.allowed.add(ids["<|end|>"])


def _enter(
    chain: Chain, vocabulary: Vocabulary, answer: Sequence[int], *, at_the_start: bool
) -> None:
    """Tokens outside the walk lead into it, spread over its words.

    With an end to reach all must enter at the first word. Thousands of tokens cannot share one
    row of the output matrix, so that one is a fallback: an advantage over all other words.
    """
    if at_the_start:
        chain.fallback = answer[0]
        return
    outside = (token for token in range(len(vocabulary.tokens)) if token not in chain.follower)
    for place, token in enumerate(outside):
        chain.follower[token] = answer[place * 7 % len(answer)]
