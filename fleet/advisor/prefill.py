"""How fast a prompt is read: the time as a sum of few physical terms.

    t = p 2PN/F + q 2PN/F + b 2PN/F + a A/F + k NC/BW + n (T/BW r + c L)

P parameters used, N tokens, F operations a second, A operations of the attention, C bytes of the
cache at the middle of the prompt, T weights that one batch touches, n batches, L layers. Each
constant belongs to a class of machines (`constants_prefill`): p dense or mixture, q more for
K-quants, b more for BF16 where it is emulated, a attention, k cache read again by every tile of 32
tokens, r weights, c layers.
"""

from __future__ import annotations

import math

from fleet.advisor.constants_prefill import PREFILL, PrefillConstants
from fleet.advisor.decode import LAYER_S
from fleet.advisor.work import EngineAge, Muscle, PrefillWork

TILE = 32


def pipelined(batches: int, devices: int) -> float:
    """Batches that pass one after another where devices work on different ones side by side."""
    return 1 + (batches - 1) / devices if devices > 1 else float(batches)


def prefill_terms(work: PrefillWork, muscle: Muscle) -> dict[str, float]:
    """Seconds that each constant is multiplied with, by its name."""
    batches = math.ceil(work.tokens / work.batch)
    passes = pipelined(batches, muscle.devices)
    compute = 2 * work.parameters * work.tokens / muscle.flops * passes / batches
    return {
        "dense": 0.0 if work.experts_used else compute,
        "mixture": compute if work.experts_used else 0.0,
        "k_quants": compute if work.k_quants else 0.0,
        "bf16": compute if work.bf16 else 0.0,
        "old": compute if muscle.age is EngineAge.OLD else 0.0,
        "attention": work.attention_flops / muscle.flops,
        "cache": work.tokens * work.cache_bytes / muscle.bandwidth / TILE,
        "weights": passes * work.touched_bytes / muscle.bandwidth,
        "layers": passes * work.layers * LAYER_S,
    }


def prefill_seconds(
    work: PrefillWork, muscle: Muscle, constants: PrefillConstants | None = None
) -> float:
    """Return the expected time of the whole prompt."""
    fitted = constants or PREFILL[muscle.speed_class]
    terms = prefill_terms(work, muscle)
    seconds = fitted.dense * terms["dense"] + fitted.mixture * terms["mixture"]
    seconds += fitted.k_quants * terms["k_quants"] + fitted.bf16 * terms["bf16"]
    seconds += fitted.old * terms["old"] + fitted.attention * terms["attention"]
    seconds += fitted.cache * terms["cache"] + fitted.weights * terms["weights"]
    return seconds + fitted.layers * terms["layers"]


def prefill_ceiling_seconds(work: PrefillWork, muscle: Muscle) -> float:
    """Return the least time: all operations at the peak, or all weights read once a batch."""
    batches = math.ceil(work.tokens / work.batch)
    compute = (2 * work.parameters * work.tokens + work.attention_flops) / muscle.flops
    read = work.touched_bytes / muscle.bandwidth
    passes = pipelined(batches, muscle.devices)
    return max(compute / muscle.devices, read * passes / batches)
