"""Metadata of a model as numbers, each checked against what a real model can have."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fleet.advisor.architectures import plain
from fleet.errors import UserError

MOST = {
    "block_count": 2_000,
    "embedding_length": 2**20,
    "feed_forward_length": 2**22,
    "attention.head_count": 8_192,
    "attention.head_count_kv": 8_192,
    "attention.key_length": 2**16,
    "attention.value_length": 2**16,
    "attention.sliding_window": 2**32,
    "context_length": 2**32,
    "vocab_size": 2**26,
    "expert_count": 2**16,
    "expert_used_count": 2**16,
    "expert_feed_forward_length": 2**22,
}
"""The largest value that is believed; no published model comes within a factor of ten."""

MOST_OF_OTHERS = 2**24
DAMAGED = "the metadata is damaged; pull or convert the model again"


class Keys:
    """The keys of one architecture; `qwen3.block_count` is asked for as `block_count`."""

    def __init__(self, info: Mapping[str, object]) -> None:
        name = info.get("general.architecture")
        if not isinstance(name, str) or not name.strip():
            raise UserError(
                "this model has no metadata: its architecture is not named",
                "name a model of the catalogue, or a GGUF file that has its metadata",
            )
        self.name = name.strip()
        self.architecture = plain(self.name)
        self._info = info

    def integer(self, key: str) -> int | None:
        """Return a whole number from 0; of a list with one entry for each layer the largest."""
        value = self._value(key)
        if isinstance(value, list):
            numbers = [self._number(key, item) for item in value]
            return max(numbers, default=None)
        return None if value is None else self._number(key, value)

    def needed(self, key: str) -> int:
        """Return a number without which nothing can be said; it is at least 1."""
        number = self.integer(key)
        if number is None:
            raise UserError(f"the metadata of this model has no {key}", DAMAGED)
        if number < 1:
            raise UserError(f"the metadata of this model says {key} {number}", DAMAGED)
        return number

    def each(self, key: str, layers: int) -> list[int] | None:
        """One number for each layer; None where the key is absent or its list is left out."""
        value = self._value(key)
        if value is None:
            return None
        if not isinstance(value, list):
            return [self._number(key, value)] * layers
        numbers = [self._number(key, item) for item in value]
        if len(numbers) < layers:
            raise UserError(
                f"the metadata of this model lists {key} for {len(numbers)} of {layers} layers",
                DAMAGED,
            )
        return numbers[:layers]

    def present(self, key: str) -> bool:
        return f"{self.name}.{key}" in self._info

    def general(self, key: str) -> object:
        return self._info.get(key)

    def _value(self, key: str) -> object:
        return self._info.get(f"{self.name}.{key}")

    def _number(self, key: str, value: object) -> int:
        most = MOST.get(key, MOST_OF_OTHERS)
        if isinstance(value, bool):
            return int(value)
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if not isinstance(value, int) or not 0 <= value <= most:
            raise UserError(
                f"the metadata of this model says {key} {str(value)[:30]!r}, "
                f"which is no number from 0 to {most}",
                DAMAGED,
            )
        return value
