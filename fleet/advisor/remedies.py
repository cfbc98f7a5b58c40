"""What would make a model fit, and how much of it stays on the GPU where it does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleet.advisor.fit import ENGINE_MARGIN_MIB, Verdict, judge, smallest_limit_mib
from fleet.advisor.limits import Limit, highest_wired_mib
from fleet.advisor.need import Backend, Need, load_bytes, need
from fleet.advisor.recipes import in_quantization
from fleet.advisor.setup import CONTEXT_STEP, Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.units import MIB

SMALLER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""From the largest to the smallest; the first that fits loses least."""

MOST_CONTEXT = 2**24


def largest_context(
    shape: ModelShape, setup: Setup, limit: Limit, backend: Backend, ram_bytes: float | None = None
) -> int | None:
    """Return the longest context that fits, a multiple of 256 tokens; None where not even 256 do.

    Need grows with the context, so halving finds it. A context that the engine's own choice of
    batch makes wider is judged with that batch.
    """
    most = min(shape.trained_context or MOST_CONTEXT, MOST_CONTEXT)

    def fits(context: int) -> bool:
        demand = need(shape, replace(setup, context=context), backend)
        return judge(demand, limit, ram_bytes).runs

    if fits(most):
        return most
    low, high = 0, most // CONTEXT_STEP
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle * CONTEXT_STEP):
            low = middle
        else:
            high = middle
    return low * CONTEXT_STEP or None


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredLimit:
    """The smallest wired limit for a need, and whether the machine's memory allows it."""

    mib: int
    highest_mib: int

    @property
    def allowed(self) -> bool:
        return self.mib <= self.highest_mib


def wired_limit(demand: Need, ram_gb: float) -> WiredLimit:
    """Return the smallest limit under which the model runs on the GPU alone."""
    return WiredLimit(mib=smallest_limit_mib(demand), highest_mib=highest_wired_mib(ram_gb))


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How a model is divided between GPU and CPU, modelled."""

    layers: int
    of_layers: int
    """Whole layers on the GPU, where whole layers are moved."""
    expert_share: float | None
    """The share of the experts on the GPU, where experts are moved first."""
    gpu_share: float
    """The share of the weights that one token reads which lie on the GPU."""


def split(shape: ModelShape, setup: Setup, limit: Limit, backend: Backend) -> Split:
    """Split a model that does not fit into what stays on the GPU and what does not.

    llama.cpp since the autumn of 2025 keeps all dense parts and the cache, and then as many
    experts as fit; before, and for dense models, whole layers stay from the last to the first.
    """
    demand = need(shape, setup, backend)
    room = limit.bytes.low - ENGINE_MARGIN_MIB * MIB * setup.devices
    weights = demand.part("weights").value
    fixed = demand.gpu.value - weights
    cache = demand.part("KV cache").value + demand.part("recurrent states").value
    experts = float(shape.weights.expert_bytes)
    dense = weights - experts
    if setup.current is not False and experts and room >= fixed + dense:
        share = min(max((room - fixed - dense) / experts, 0.0), 1.0)
        return _split(shape, layers=shape.blocks, expert_share=share, gpu_share=share)
    output = float(shape.weights.table_bytes)
    each = (weights - output + cache) / shape.blocks
    layers = int(max(room - (fixed - cache) - output, 0) // each) if each > 0 else 0
    layers = min(layers, shape.blocks)
    return _split(shape, layers=layers, expert_share=None, gpu_share=layers / shape.blocks)


def _split(
    shape: ModelShape, *, layers: int, expert_share: float | None, gpu_share: float
) -> Split:
    if expert_share is not None:
        active = shape.active_bytes or float(shape.weights.gpu_bytes)
        used = shape.experts.share if shape.experts and shape.experts.share else 1.0
        routed = shape.weights.expert_bytes * used
        gpu_share = 1 - routed * (1 - expert_share) / active if active else 0.0
    return Split(
        layers=layers,
        of_layers=shape.blocks,
        expert_share=expert_share,
        gpu_share=min(max(gpu_share, 0.0), 1.0),
    )


def smaller_that_fits(
    shape: ModelShape,
    setup: Setup,
    limit: Limit,
    backend: Backend,
    published: Iterable[ModelShape] = (),
) -> ModelShape | None:
    """Return the published tag, else the quantization, that fits and loses least.

    None if none does.
    """
    own = shape.weights.text_bytes
    candidates = [other for other in published if other.weights.text_bytes < own]
    candidates.sort(key=lambda other: -other.weights.text_bytes)
    if shape.format == "gguf":
        made = (in_quantization(shape, name) for name in SMALLER)
        candidates += [other for other in made if other.weights.text_bytes < 0.97 * own]
    for other in candidates:
        runner = Runner.MLX if other.format == "safetensors" else setup.runner
        verdict = judge(need(other, replace(setup, runner=runner), backend), limit).verdict
        if verdict in (Verdict.FITS, Verdict.TIGHT):
            return other
    return None


def refused_by_mlx(shape: ModelShape, limit: Limit, overhead_bytes: float = 0) -> bool:
    """Whether Ollama refuses to load this model with MLX; it never moves parts to the CPU.

    The rule: the bytes of all tensors against the free memory of the first GPU less 512 MiB on a
    Mac; neither cache nor compute buffer is counted.
    """
    return load_bytes(shape) > limit.bytes.value - 512 * MIB - overhead_bytes
