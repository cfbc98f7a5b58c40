"""How large a tiny model is, and how it behaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["llama", "gpt-oss"]

RECIPE = 1
"""1: first recipe (2026-11). Any change of the bytes needs a new number: digests are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    layers: int
    width: int
    """Embedding length; a multiple of 32."""
    heads: int
    kv_heads: int
    head_dim: int = 64
    """64 keeps the flash-attention kernels of GPUs usable."""
    ff: int
    """Feed-forward width, of each expert for gpt-oss; a multiple of 32."""
    vocab: int
    context: int
    experts: int = 0
    experts_used: int = 0
    window: int = 128
    """Sliding window of every other layer of gpt-oss."""
    seed: int = 1
    think_words: int = 16
    """gpt-oss: words of the thinking part; 0 for none."""
    stop_after: int = 0
    """The answer ends by itself after so many words; 0: never."""

    def __post_init__(self) -> None:
        if self.width % 32 or self.ff % 32:
            raise ValueError("width and ff must be multiples of 32")
        if self.heads % self.kv_heads:
            raise ValueError("heads must be a multiple of kv_heads")
        if self.experts_used > self.experts:
            raise ValueError("experts_used may not exceed experts")


SIZES: dict[Kind, Sizes] = {
    "llama": Sizes(layers=6, width=256, heads=4, kv_heads=2, ff=768, vocab=4096, context=8192),
    "gpt-oss": Sizes(
        layers=6,
        width=256,
        heads=8,
        kv_heads=1,
        ff=256,
        vocab=4096,
        context=131072,
        experts=16,
        experts_used=2,
    ),
}
"""On one slow core: 512 prompt tokens in 0.1 to 0.3 s, 128 output tokens in 0.1 s, and evaluating
the prompt in batches of 8 takes about twice as long as in one batch of 512."""
