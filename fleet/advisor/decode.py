"""How fast tokens are written: the time of one token as a sum of few physical terms.

    t = w B/BW + a B/F + k C/BW + m C/BW + c L + e L E + q 2P/F

B bytes of weights read, BW bandwidth, F operations a second, C bytes of the cache read, L layers,
E experts used, P parameters used. Each constant belongs to a class of machines (`constants`):
w and k the shares of the peak bandwidth that weights and cache reach, a what the cores pull, m the
further passes over a compressed cache, c what starting the work of one layer takes, e the same for
one expert, q what unpacking K-quants takes.
"""

from __future__ import annotations

from fleet.advisor.constants_decode import DECODE, DecodeConstants
from fleet.advisor.work import DecodeWork, EngineAge, Muscle

LAYER_S, EXPERT_S = 1e-4, 1e-5
"""Units of the constants of layers and experts."""

UNKNOWN_EXPERTS = 8


def decode_terms(work: DecodeWork, muscle: Muscle) -> dict[str, float]:
    """Seconds that each constant is multiplied with, by its name."""
    read = work.weight_bytes / muscle.bandwidth
    cache = work.cache_bytes / muscle.bandwidth
    arithmetic = 2 * work.parameters / muscle.flops
    layers = work.layers * LAYER_S
    return {
        "weights": read,
        "cores": work.weight_bytes / muscle.flops,
        "cache": cache,
        "latent": cache if work.latent else 0.0,
        "layers": layers,
        "layers_before": 0.0 if muscle.age is EngineAge.CURRENT else layers,
        "experts": work.layers * work.experts_used * EXPERT_S,
        "k_quants": arithmetic if work.k_quants else 0.0,
        "old": arithmetic if muscle.age is EngineAge.OLD else 0.0,
        "bf16_experts": read if work.bf16 and work.experts_used else 0.0,
    }


def decode_seconds(
    work: DecodeWork, muscle: Muscle, constants: DecodeConstants | None = None
) -> float:
    """Return the expected time of one token."""
    fitted = constants or DECODE[muscle.speed_class]
    read = work.weight_bytes / muscle.bandwidth
    cache = work.cache_bytes / muscle.bandwidth
    arithmetic = 2 * work.parameters / muscle.flops
    seconds = fitted.weights * read + fitted.cache * cache
    seconds += fitted.cores * work.weight_bytes / muscle.flops
    layers = fitted.layers
    if muscle.age is not EngineAge.CURRENT:
        layers += fitted.layers_before
    seconds += work.layers * (layers * LAYER_S + fitted.experts * work.experts_used * EXPERT_S)
    if work.latent:
        seconds += fitted.latent * cache
    if work.k_quants:
        seconds += fitted.k_quants * arithmetic
    if muscle.age is EngineAge.OLD:
        seconds += fitted.old * arithmetic
    if work.bf16 and work.experts_used:
        seconds += fitted.bf16_experts * read
    return seconds


def decode_ceiling_seconds(work: DecodeWork, muscle: Muscle) -> float:
    """Return the least time that the bandwidth allows: every byte once at the peak."""
    return (work.weight_bytes + work.cache_bytes) / muscle.bandwidth
