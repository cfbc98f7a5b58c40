"""What a model is, in the terms from which memory and speed follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet.advisor.amounts import Certainty

LayerKind = Literal["full", "windowed", "latent", "recurrent"]
"""How a layer remembers: every token, the last tokens of a window, one compressed row for each
token (multi-head latent attention), or a state of constant size."""

WeightFormat = Literal["gguf", "safetensors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Layers that remember in the same way; sizes are of one layer."""

    kind: LayerKind
    count: int
    kv_heads: int = 0
    key_size: int = 0
    value_size: int = 0
    """Of one head. In a latent layer the value is a part of the key."""
    window: int = 0
    state_bytes: int = 0
    """Of one recurrent layer for one sequence."""

    @property
    def row(self) -> int:
        """Elements that one token leaves in the cache of one layer."""
        return self.kv_heads * (self.key_size + self.value_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """Routed experts; `used` is None where the metadata does not say how many a token uses."""

    count: int
    used: int | None
    width: int
    """Feed-forward width of one expert."""

    @property
    def share(self) -> float | None:
        """The share of the experts that one token reads."""
        return None if self.used is None else self.used / self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Sizes of multi-head latent attention, of one head."""

    kv_rank: int
    rope: int
    nope: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Bytes and parameters of a model by what happens to them."""

    text_bytes: int
    """Everything that takes part in writing text."""
    table_bytes: int
    """Embedding tables of which a token reads one row; llama.cpp keeps them with the CPU."""
    tied: bool
    """The token table is also the output matrix, so that the GPU needs a copy of it."""
    tied_bytes: int = 0
    """The bytes of that copy."""
    expert_bytes: int = 0
    projector_bytes: int = 0
    """Readers of pictures and sound."""
    draft_bytes: int = 0
    parameters: int = 0
    table_parameters: int = 0
    expert_parameters: int = 0
    certainty: Certainty = Certainty.EXACT
    error: float = 0.0
    """Relative half width of the interval around the bytes."""

    @property
    def gpu_bytes(self) -> int:
        """The text weights that a fully offloaded llama.cpp holds on the GPU."""
        return max(self.text_bytes - self.table_bytes + self.tied_bytes, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """One model in one quantization."""

    name: str
    architecture: str
    format: WeightFormat
    blocks: int
    width: int
    feed_forward: int
    heads: int
    attention_width: int
    """All query heads together, in elements."""
    vocabulary: int
    trained_context: int | None
    layers: tuple[Layers, ...]
    weights: Weights
    experts: Experts | None = None
    latent: Latent | None = None
    quantization: str = ""
    certainty: Certainty = Certainty.EXACT
    """How the layers are known; `weights` says the same of the bytes."""
    notes: tuple[str, ...] = ()
    """What had to be assumed, in sentences."""

    @property
    def active_bytes(self) -> float | None:
        """The weights that one token reads; None where the experts used, or all, are unknown."""
        share = 1.0 if self.experts is None else self.experts.share
        if share is None:
            return None
        weights = self.weights
        active = weights.gpu_bytes - weights.expert_bytes * (1 - share)
        return active if active > 0 else None

    @property
    def active_parameters(self) -> float | None:
        """Parameters that one token is multiplied with; None where that is unknown."""
        share = 1.0 if self.experts is None else self.experts.share
        if share is None:
            return None
        weights = self.weights
        table = 0 if weights.tied else weights.table_parameters
        active = weights.parameters - table - weights.expert_parameters * (1 - share)
        return active if active > 0 else None

    def has(self, kind: LayerKind) -> bool:
        return any(group.kind == kind for group in self.layers)

    def count(self, kind: LayerKind) -> int:
        return sum(group.count for group in self.layers if group.kind == kind)
