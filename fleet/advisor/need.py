"""The memory that one model needs in one setup: on the GPU, beside it, and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.advisor.amounts import ZERO, Amount, Certainty, exact, modelled, total
from fleet.advisor.compute import compute_bytes, host_compute_bytes, pipeline_bytes
from fleet.advisor.kv import cache_bytes, state_bytes
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.units import GIB, MIB

Backend = Literal["metal", "cuda", "rocm", "vulkan"]
"""What drives the GPU."""

Place = Literal["gpu", "host"]

CONTEXT_BYTES: dict[Backend, Amount] = {
    "metal": ZERO,
    "cuda": Amount(450 * MIB, 330 * MIB, 520 * MIB, Certainty.MODELLED),
    "rocm": Amount(300 * MIB, 100 * MIB, 600 * MIB, Certainty.MODELLED),
    "vulkan": Amount(150 * MIB, 50 * MIB, 400 * MIB, Certainty.MODELLED),
}
"""What the driver takes for each process and device before anything is loaded. CUDA: 0.33 to
0.5 GiB in 32 loads whose whole process was read; the others are few readings."""

METAL_COMPUTE_MORE = 0.06
"""Metal's buffers come out 4 to 6 % larger than the graph that llama.cpp plans."""

PREFIX_CACHE_BYTES = 8 * GIB
"""MLX keeps the caches of earlier prompts up to this much, until the model is unloaded."""


PICTURE_GRAPH = Amount(200 * MIB, 0, 1200 * MIB, Certainty.MODELLED)
"""Room for the largest picture: 0.1 to 0.4 GiB in 20 loads of Gemma 3, Qwen 3 VL and Mistral, more
than 1 GiB in one."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that takes memory; `later` parts grow while the model is used."""

    name: str
    place: Place
    bytes: Amount
    later: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """All parts, and their sums; `gpu` and `host` leave out what only grows later."""

    parts: tuple[Part, ...]
    setup: Setup
    notes: tuple[str, ...] = ()
    gpu: Amount
    host: Amount
    later: Amount
    """What is added on the GPU in long use."""

    @classmethod
    def of(cls, parts: Sequence[Part], setup: Setup, notes: tuple[str, ...] = ()) -> Need:
        """Return the need with these parts; those that take nothing are left out."""
        return cls(
            parts=tuple(part for part in parts if part.bytes.high > 0),
            setup=setup,
            notes=notes,
            gpu=total(p.bytes for p in parts if p.place == "gpu" and not p.later),
            host=total(p.bytes for p in parts if p.place == "host" and not p.later),
            later=total(p.bytes for p in parts if p.later),
        )

    def part(self, name: str) -> Amount:
        """One part by its name; zero where this need has none of that name."""
        return total(part.bytes for part in self.parts if part.name == name)


def need(
    shape: ModelShape, setup: Setup, backend: Backend = "metal", offset: Amount | None = None
) -> Need:
    """Return the memory of this model in this setup.

    `offset` is what this machine was seen to add.
    """
    setup = setup.capped(shape.trained_context)
    if setup.runner is Runner.MLX or shape.format == "safetensors":
        return _mlx_need(shape, setup)
    return _llama_need(shape, setup, backend, offset)


def _llama_need(shape: ModelShape, setup: Setup, backend: Backend, offset: Amount | None) -> Need:
    compute = compute_bytes(shape, setup)
    if backend == "metal":
        compute = Amount(
            compute.value, compute.low, compute.high * (1 + METAL_COMPUTE_MORE), compute.certainty
        )
    if backend == "cuda":
        more = pipeline_bytes(shape, setup)
        compute = compute.plus(exact(more))
    parts = [
        Part("weights", "gpu", _weighed(shape, shape.weights.gpu_bytes)),
        Part("KV cache", "gpu", _cache(shape, setup)),
        Part("recurrent states", "gpu", exact(state_bytes(shape, setup))),
        Part("compute buffer", "gpu", compute.times(setup.devices)),
        Part("picture reader", "gpu", _projector(shape, setup)),
        Part("driver's memory", "gpu", offset or CONTEXT_BYTES[backend].times(setup.devices)),
        Part("token table", "host", _weighed(shape, shape.weights.table_bytes)),
        Part("host buffers", "host", exact(host_compute_bytes(shape, setup))),
    ]
    if shape.weights.draft_bytes:
        size = float(shape.weights.draft_bytes)
        parts.append(Part("draft head", "gpu", Amount(0, 0, size, Certainty.MODELLED)))
    return Need.of(parts, setup, shape.notes)


def _mlx_need(shape: ModelShape, setup: Setup) -> Need:
    """Under MLX the weights stay whole, and the cache grows with the tokens that are used."""
    weights = shape.weights
    all_text = weights.text_bytes
    parts = [
        Part("weights", "gpu", _weighed(shape, all_text)),
        Part("draft head", "gpu", _weighed(shape, weights.draft_bytes)),
        Part("picture reader", "gpu", _weighed(shape, weights.projector_bytes)),
        Part("KV cache", "gpu", _cache(shape, setup)),
        Part("recurrent states", "gpu", exact(state_bytes(shape, setup))),
        Part("compute buffer", "gpu", compute_bytes(shape, setup)),
        Part("prefix cache", "gpu", exact(PREFIX_CACHE_BYTES), later=True),
    ]
    return Need.of(parts, setup, shape.notes)


def load_bytes(shape: ModelShape) -> float:
    """Return the bytes of tensors that Ollama compares with free memory before an MLX load."""
    weights = shape.weights
    return float(weights.text_bytes + weights.draft_bytes + weights.projector_bytes)


def _weighed(shape: ModelShape, size: float) -> Amount:
    """Bytes of weights with the error of the way they are known."""
    weights = shape.weights
    if weights.certainty is Certainty.EXACT and not weights.error:
        return exact(size)
    return Amount(size, size * (1 - weights.error), size * (1 + weights.error), weights.certainty)


def _cache(shape: ModelShape, setup: Setup) -> Amount:
    """Exact where the layers are known; of a guessed architecture anything below is possible."""
    size = cache_bytes(shape, setup)
    if shape.notes and shape.certainty is Certainty.MODELLED:
        return modelled(size, 0.1 * size, size)
    return Amount(size, size, size, shape.certainty)


def _projector(shape: ModelShape, setup: Setup) -> Amount:
    """Return the reader of pictures with its graph, which llama.cpp's own plan does not count."""
    size = float(shape.weights.projector_bytes)
    if not size or not setup.read_pictures:
        return ZERO
    graph = PICTURE_GRAPH
    return Amount(size + graph.value, size + graph.low, size + graph.high, graph.certainty)
