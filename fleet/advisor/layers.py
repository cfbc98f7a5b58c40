"""Which layers of a model remember what: from its metadata, or better from its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fleet.advisor.architectures import FULL_ATTENTION_INTERVAL, LATENT, WINDOWS, state_bytes
from fleet.advisor.keys import Keys
from fleet.advisor.shape import Layers
from fleet.advisor.weights import BlockRows, rows_by_block
from fleet.errors import UserError
from fleet.model.tensors import Tensor

NO_WINDOW_RULE = "which layers have a window is not told: all are taken to see every token"
NO_HEADS = "the key and value heads of the layers are not told: every query head is taken as one"


@dataclass(frozen=True, slots=True)
class Described:
    layers: tuple[Layers, ...]
    heads: int
    attention_width: int
    notes: tuple[str, ...]


def describe_layers(
    keys: Keys, blocks: int, width: int, tensors: Sequence[Tensor] = ()
) -> Described:
    """Return the layers in groups of alike ones, and what had to be assumed."""
    describer = _Describer(keys, blocks, width, rows_by_block(tensors, width) if tensors else {})
    layers = [describer.layer(number) for number in range(blocks)]
    groups = Counter(layer for layer in layers if layer is not None)
    return Described(
        layers=tuple(replace(layer, count=count) for layer, count in groups.items()),
        heads=describer.heads,
        attention_width=describer.heads * describer.key_size,
        notes=tuple(describer.notes),
    )


class _Describer:
    """Answers for one layer after another, from the same few keys."""

    def __init__(self, keys: Keys, blocks: int, width: int, rows: dict[int, BlockRows]) -> None:
        self.notes: list[str] = []
        self._keys, self._blocks, self._rows = keys, blocks, rows
        self._state = _state_of(keys, width)
        self.heads = keys.integer("attention.head_count") or 0
        if not self.heads and self._state is None:
            raise UserError("the metadata of this model has no attention.head_count")
        self.key_size = self._head_size("attention.key_length", width)
        self._value_size = keys.integer("attention.value_length") or self.key_size
        self._kv_heads = self._heads_of_layers()
        self._window = self._window_size()
        self._pattern = self._window_pattern()
        self._shared_from = blocks - (keys.integer("attention.shared_kv_layers") or 0)

    def layer(self, number: int) -> Layers | None:
        """One layer; None where it remembers nothing of its own."""
        rows = self._rows.get(number)
        if self._is_recurrent(number, rows):
            return Layers(kind="recurrent", count=1, state_bytes=self._state or 0)
        if number >= self._shared_from:
            return None
        if self._is_latent():
            return self._latent_layer()
        windowed = self._pattern[number]
        kv_heads, key, value = self._sizes(number, rows, windowed)
        if not kv_heads:
            return None
        return Layers(
            kind="windowed" if windowed else "full",
            count=1,
            kv_heads=kv_heads,
            key_size=key,
            value_size=value,
            window=self._window if windowed else 0,
        )

    def _sizes(self, number: int, rows: BlockRows | None, windowed: bool) -> tuple[int, int, int]:
        """(key and value heads, key size, value size); tensors know better than keys."""
        swa = windowed and self._keys.integer("attention.key_length_swa")
        key = self._keys.integer("attention.key_length_swa") if swa else self.key_size
        value = self._keys.integer("attention.value_length_swa") if swa else self._value_size
        kv_heads = self._kv_heads[number]
        key_rows, value_rows = _rows_of(rows, self.heads * (key or 0))
        if not key_rows:
            return (0, 0, 0) if rows and self._rows_known() else (kv_heads, key or 0, value or 0)
        if kv_heads and not key_rows % kv_heads and not value_rows % kv_heads:
            return kv_heads, key_rows // kv_heads, value_rows // kv_heads
        return 1, key_rows, value_rows

    def _rows_known(self) -> bool:
        """Whether at least one layer lists its keys, so that silence means that there are none."""
        return any(rows.key or rows.fused for rows in self._rows.values())

    def _is_recurrent(self, number: int, rows: BlockRows | None) -> bool:
        if self._state is None:
            return False
        if rows is not None and self._rows_known():
            return rows.recurrent
        interval = self._keys.integer("full_attention_interval") or FULL_ATTENTION_INTERVAL.get(
            self._keys.architecture
        )
        if interval:
            return (number + 1) % interval != 0
        if self._kv_heads[number]:
            return False
        wide = self._keys.each("feed_forward_length", self._blocks)
        only_feeds = wide is not None and wide[number] > 0 and min(wide) == 0
        return not only_feeds

    def _is_latent(self) -> bool:
        keys = self._keys
        if keys.architecture not in LATENT or not keys.integer("attention.kv_lora_rank"):
            return False
        if any(rows.latent for rows in self._rows.values()) or not self._rows:
            return keys.present("attention.key_length_mla") or self._kv_heads[0] <= 1
        return False

    def _latent_layer(self) -> Layers:
        rank = self._keys.needed("attention.kv_lora_rank")
        rope = self._keys.integer("rope.dimension_count") or 64
        return Layers(kind="latent", count=1, kv_heads=1, key_size=rank + rope, value_size=rank)

    def _head_size(self, key: str, width: int) -> int:
        value = self._keys.integer(key)
        return value or (width // self.heads if self.heads else 0)

    def _heads_of_layers(self) -> list[int]:
        value = self._keys.each("attention.head_count_kv", self._blocks)
        if value is not None:
            return value
        if not self.heads or self._rows_known():
            return [0 if not self.heads else self.heads] * self._blocks
        if not self._is_hybrid_by_interval():
            self.notes.append(NO_HEADS)
        return [self.heads] * self._blocks

    def _is_hybrid_by_interval(self) -> bool:
        return self._keys.architecture in FULL_ATTENTION_INTERVAL

    def _window_size(self) -> int:
        value = self._keys.integer("attention.sliding_window")
        rule = WINDOWS.get(self._keys.architecture)
        if value is None and rule is not None:
            chunk = self._keys.integer("attention.chunk_size")
            return chunk or rule.default_window
        return value or 0

    def _window_pattern(self) -> list[bool]:
        """For each layer whether it looks back through the window only."""
        if not self._window:
            return [False] * self._blocks
        key = "attention.sliding_window_pattern"
        value = self._keys.each(key, self._blocks)
        if value is not None and len(set(value)) > 1:
            return [bool(entry) for entry in value]
        if value is not None and value[0] > 1:
            return [(number + 1) % value[0] != 0 for number in range(self._blocks)]
        rule = WINDOWS.get(self._keys.architecture)
        if rule is not None:
            return [not rule.is_full(number) for number in range(self._blocks)]
        self.notes.append(NO_WINDOW_RULE)
        return [False] * self._blocks


def _state_of(keys: Keys, width: int) -> int | None:
    """Bytes of one recurrent layer; None for a model that has none."""
    cache = keys.integer("shortconv.l_cache")
    if cache:
        return 4 * (cache - 1) * width
    inner, state = keys.integer("ssm.inner_size"), keys.integer("ssm.state_size")
    if not inner or not state:
        return None
    return state_bytes(
        conv_kernel=keys.integer("ssm.conv_kernel") or 4,
        inner=inner,
        state=state,
        groups=keys.integer("ssm.group_count") or 1,
    )


def _rows_of(rows: BlockRows | None, query: int) -> tuple[int, int]:
    """Key and value rows of one layer; (0, 0) where its tensors do not tell."""
    if rows is None:
        return 0, 0
    if rows.key:
        return rows.key, rows.value or rows.key
    if rows.fused > query > 0 and not (rows.fused - query) % 2:
        each = (rows.fused - query) // 2
        return each, each
    return 0, 0
