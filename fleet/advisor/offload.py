"""How fast a model is that lies partly on the CPU.

What the CPU holds it also computes: its weights pass through the CPU's own memory. With 50 GB/s
for that, eight public measurements of partly offloaded models are met within 17 % where the model
is dense; mixtures ran two to three times slower, so the rate is an upper bound there.
"""

from __future__ import annotations

from fleet.advisor.amounts import Amount, modelled
from fleet.advisor.decode import decode_seconds
from fleet.advisor.work import DecodeWork, Muscle

CPU_BANDWIDTH = 50e9
"""Bytes a second that a desktop's CPU reads from its memory, measured end to end."""

DENSE_ERROR = 0.25
MIXTURE_LOW = 0.3


def partly_on_cpu(
    work: DecodeWork, muscle: Muscle, gpu_share: float, cpu_bandwidth: float = CPU_BANDWIDTH
) -> Amount:
    """Tokens per second with this share of the active weights on the GPU."""
    share = min(max(gpu_share, 0.0), 1.0)
    whole = decode_seconds(work, muscle)
    seconds = whole + (1 - share) * work.weight_bytes / cpu_bandwidth
    rate = 1 / seconds
    if work.experts_used:
        return modelled(rate, MIXTURE_LOW * rate, rate)
    return modelled(rate, (1 - DENSE_ERROR) * rate, (1 + DENSE_ERROR) * rate)
