"""The cache of keys and values, and the states of recurrent layers: exact."""

from __future__ import annotations

from fleet.advisor.setup import CACHE_BYTES, CONTEXT_STEP, Runner, Setup
from fleet.advisor.shape import Layers, ModelShape

OLLAMA_ENGINE_BATCH = 4096
"""Tokens that Ollama's own engine keeps beside the window of gpt-oss."""


def cache_bytes(shape: ModelShape, setup: Setup) -> float:
    """Bytes of the cache of every slot, the states of recurrent layers left out."""
    element = 2.0 if setup.runner is Runner.MLX else CACHE_BYTES[setup.cache_type]
    return sum(
        group.count * _row(group, setup) * _cells(group, setup) * element
        for group in shape.layers
        if group.kind != "recurrent"
    )


def state_bytes(shape: ModelShape, setup: Setup) -> int:
    """Bytes of the states of recurrent layers, one for each slot."""
    return sum(
        group.count * group.state_bytes * setup.slots
        for group in shape.layers
        if group.kind == "recurrent"
    )


def bytes_at(shape: ModelShape, depth: int, cache_type: str = "f16") -> float:
    """Bytes of the cache that one token reads when `depth` tokens stand before it."""
    element = CACHE_BYTES[cache_type]
    total = 0.0
    for group in shape.layers:
        if group.kind == "recurrent":
            continue
        seen = min(depth, group.window) if group.kind == "windowed" else depth
        row = group.key_size * group.kv_heads if group.kind == "latent" else group.row
        total += group.count * row * seen * element
    return total


def state_traffic(shape: ModelShape) -> int:
    """Bytes of states that one token reads and writes back."""
    return 2 * sum(group.count * group.state_bytes for group in shape.layers)


def windowed_cells(group: Layers, setup: Setup) -> int:
    """Cells of one windowed layer of one stream: the window and one batch more, padded."""
    share = setup.slots if setup.unified else 1
    cells = min(setup.cells * share, group.window * share + setup.micro_batch())
    return -(-cells // CONTEXT_STEP) * CONTEXT_STEP


def _cells(group: Layers, setup: Setup) -> int:
    """Cells of one layer over all slots."""
    if setup.runner is Runner.MLX:
        return _mlx_cells(group, setup)
    if group.kind != "windowed":
        return setup.cells * setup.slots
    if setup.runner is Runner.OLLAMA_ENGINE and group.window <= CONTEXT_STEP:
        return min(
            setup.cells * setup.slots, OLLAMA_ENGINE_BATCH * setup.slots + setup.micro_batch()
        )
    return windowed_cells(group, setup) * (1 if setup.unified else setup.slots)


def _mlx_cells(group: Layers, setup: Setup) -> int:
    """Return the cells of a layer on MLX, which has one slot.

    Its cache grows in steps of 256 tokens with what is used; a windowed layer is a ring of the
    window.
    """
    used = setup.context if setup.tokens_used is None else setup.tokens_used
    grown = -(-used // CONTEXT_STEP) * CONTEXT_STEP
    return min(grown, group.window) if group.kind == "windowed" else grown


def _row(group: Layers, setup: Setup) -> int:
    """Elements of one cell of one layer.

    Of latent attention llama.cpp keeps the compressed row alone (576 elements for DeepSeek and
    GLM 4.7 Flash), from the spring of 2026; Ollama's own engine and older builds kept the value
    part (512) a second time.
    """
    if group.kind == "latent" and _keeps_latent_values(setup):
        return group.row
    if group.kind == "latent":
        return group.kv_heads * group.key_size
    return group.row


def _keeps_latent_values(setup: Setup) -> bool:
    return setup.runner is Runner.OLLAMA_ENGINE or setup.current is False
