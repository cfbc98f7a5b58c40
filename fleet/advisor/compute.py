"""The compute buffer: room for the widest step of the model's graph, modelled.

The graph of one physical batch is widest either at the feed-forward part, at the attention (when
flash attention is off, or when the cache is compressed), or at the output matrix. The element
counts are those of llama.cpp's graphs. They were read off 1694 allocations of 11 shapes (fully
offloaded, 2K to 128K tokens, batches of 512 to 2048) and off 24 more graphs of made-up mixtures,
gated delta nets and latent attention that llama.cpp b11549 reserved without weights. Against the
1694: median 0.1 %, at most 3 % with flash attention; without it median 0.2 %, at most 7 %, but
for small models at contexts below 4096 (19 %).
"""

from __future__ import annotations

from fleet.advisor.amounts import Amount, modelled
from fleet.advisor.architectures import WIDE_REST
from fleet.advisor.kv import windowed_cells
from fleet.advisor.setup import CONTEXT_STEP, Logits, Runner, Setup
from fleet.advisor.shape import ModelShape

F32, F16 = 4, 2
CURRENT_MASK, OLD_MASK = 2, 6
"""Bytes of the attention mask for each pair of token and cell: F16 now; F32 and a copy in F16 in
older engines."""
USUAL_ERROR, SMALL_ERROR, SMALL_CELLS = 0.04, 0.1, 8192
"""Half width of the interval; without flash attention short contexts miss by more."""
UNKNOWN_ARCHITECTURE_ERROR = 0.5
PIPELINE_COPIES = 4
"""Several CUDA devices work on parts of one batch side by side and hold so many copies."""
HYBRID_EXTRA_BYTES = 350 * 2**20
"""Older graphs of hybrids need 0.2 to 0.5 GiB more than the formula."""


def compute_bytes(shape: ModelShape, setup: Setup) -> Amount:
    """Bytes of the compute buffer on one device; every device of several needs as much."""
    if setup.runner is Runner.MLX:
        return _mlx_buffer(shape)
    ways = [
        _one_way(shape, setup, flash=flash, current=current, full=full)
        for flash in _both(setup.flash_attention)
        for current, full in _builds(setup)
    ]
    expected = ways[0]
    small = setup.flash_attention is False and setup.cells < SMALL_CELLS
    error = SMALL_ERROR if small else USUAL_ERROR
    if shape.notes:
        error = UNKNOWN_ARCHITECTURE_ERROR
    high = max(ways) * (1 + error)
    if shape.has("recurrent") and setup.current is None:
        high += HYBRID_EXTRA_BYTES
    return modelled(expected, min(ways) * (1 - error), high)


def pipeline_bytes(shape: ModelShape, setup: Setup) -> int:
    """Bytes that each of several CUDA devices needs more: further copies of a batch's inputs."""
    if setup.devices < 2 or setup.runner is Runner.MLX:
        return 0
    mask = F16 if setup.flash_attention is not False else F32
    cells = setup.cells + _window_cells(shape, setup)
    return (PIPELINE_COPIES - 1) * setup.micro_batch() * (mask * cells + F32 * shape.width)


def host_compute_bytes(shape: ModelShape, setup: Setup) -> int:
    """Bytes that the graph needs beside the device: the masks and two rows of the model's width.

    Within 1 MiB of the allocations with flash attention; without it the masks are F32.
    """
    if setup.runner is Runner.MLX:
        return 0
    batch = setup.micro_batch()
    mask = F16 if setup.flash_attention is not False else F32
    return (
        mask * batch * (setup.cells + _window_cells(shape, setup)) + 2 * F32 * batch * shape.width
    )


def _both(value: bool | None) -> tuple[bool, ...]:
    return (True, False) if value is None else (value,)


def _builds(setup: Setup) -> list[tuple[bool, bool]]:
    """List the builds that it may be, the likeliest first: (current, logits of the whole batch)."""
    return [
        (current, full)
        for current in _both(setup.current)
        for full in _full_logits(setup.logits, current=current)
    ]


def _full_logits(logits: Logits | None, *, current: bool) -> tuple[bool, ...]:
    if logits is None:
        return (not current,)
    return (True, False) if logits == "unknown" else (logits == "batch",)


def _one_way(shape: ModelShape, setup: Setup, *, flash: bool, current: bool, full: bool) -> float:
    batch = setup.micro_batch()
    cells, window = setup.cells, _window_cells(shape, setup)
    outputs = batch if full else setup.slots
    logits = F32 * outputs * shape.vocabulary + (F32 * batch * shape.width if full else 0)
    if flash:
        mask = CURRENT_MASK if current else OLD_MASK
        graph = batch * (mask * (cells + window) + F32 * _widest(shape))
        return max(logits, graph)
    mask_bytes = F32 * batch * (cells + window)
    scores = F32 * batch * (cells * shape.heads + _attention_rest(shape))
    feed = F32 * batch * (_widest(shape) + _projections(shape))
    return max(logits, mask_bytes + max(scores, feed))


def _widest(shape: ModelShape) -> float:
    """Elements for each token at the widest step outside the attention scores."""
    rest = 3.0 * shape.width
    if _has_wide_rest(shape):
        rest = 2.0 * shape.width + shape.attention_width
    feed = 3.0 * shape.feed_forward
    if shape.experts is not None:
        feed = max(_routed(shape), feed if shape.feed_forward else 0.0)
    return rest + max(feed, _latent_attention(shape))


def _routed(shape: ModelShape) -> float:
    """Return the elements of gate, up and product of the experts used.

    The way down stands beside them where it is wider than gate and up together, since it then
    fits into no gap.
    """
    if shape.experts is None:
        return 0.0
    used = shape.experts.used or shape.experts.count
    down = used * shape.width if shape.width > 2 * shape.experts.width else 0
    return 3.0 * used * shape.experts.width + down


def _has_wide_rest(shape: ModelShape) -> bool:
    """Whether the query heads stand beside the feed-forward part: dense models, and gpt-oss."""
    if shape.architecture in WIDE_REST:
        return True
    plain = shape.experts is None and not shape.has("recurrent")
    return plain and shape.architecture != "gemma4" and shape.latent is None


def _latent_attention(shape: ModelShape) -> float:
    """Query, absorbed query and both parts joined, of every head."""
    if shape.latent is None:
        return 0.0
    latent = shape.latent
    return shape.heads * float(2 * latent.kv_rank + latent.nope + 3 * latent.rope)


def _attention_rest(shape: ModelShape) -> float:
    """Elements for each token beside the scores, where flash attention is off."""
    return 2.0 * shape.width + 2.0 * shape.attention_width + _projections(shape)


def _projections(shape: ModelShape) -> float:
    rows = [group.row for group in shape.layers if group.kind in ("full", "windowed")]
    return float(max(rows, default=0))


def _window_cells(shape: ModelShape, setup: Setup) -> int:
    """Cells of the mask of windowed layers; a model has one such mask or none."""
    cells = [windowed_cells(group, setup) for group in shape.layers if group.kind == "windowed"]
    return max(cells, default=0)


def _mlx_buffer(shape: ModelShape) -> Amount:
    """MLX evaluates step by step: chunks of 2048 tokens pass through the widest step."""
    chunk = 2048
    expected = F16 * chunk * (_widest(shape) + 2.0 * shape.width)
    return modelled(expected, 0.5 * expected, 3 * expected + CONTEXT_STEP * shape.width)
