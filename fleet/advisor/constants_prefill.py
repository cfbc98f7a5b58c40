"""Fitted constants of reading a prompt, by class of machine.

Which rows fitted them: 222 public measurements of prompt tokens per second (llama.cpp and Ollama,
November 2023 to September 2026, prompts of 400 to 2048 tokens after 0 to 65536 others); for Metal
also the 73 entries of the public table of llama.cpp discussion 4167. How: as `constants_decode`.

Median error, 90th percentile behind it: of the rows that fitted them, and of rows of a model that
the fit had not seen:

    Metal M1 to M4      6.5 %, 20 %     12 %, 37 %
    CUDA               12.6 %, 75 %     24 %, 99 %   (one old build of Q4_K on Ada, F16 on A100)
    GB10                1.3 %,  8 %     32 %, 46 %   (five models only)
    ROCm, Strix Halo   10.4 %, 43 %     28 %, 53 %
    Vulkan, Strix Halo 11.0 %, 75 %     26 %, 77 %

Deep prompts on shared-memory AMD machines depend on the attention kernel of the very model: treat
those figures as a hint. Metal M5 has 4 rows, met within 5 %: its matrix units make the dense part
nearly four times faster, K-quants gain half of that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.advisor.machines_kind import SpeedClass


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillConstants:
    """The constants of one class; `prefill` says what each is multiplied with."""

    dense: float
    mixture: float
    attention: float
    weights: float
    layers: float
    k_quants: float = 0.0
    bf16: float = 0.0
    old: float = 0.0
    cache: float = 0.0
    low: float
    high: float


_METAL = PrefillConstants(
    dense=1.43,
    mixture=1.64,
    attention=1.54,
    weights=0.42,
    layers=1.55,
    k_quants=0.15,
    old=0.07,
    low=-0.21,
    high=0.6,
)
_ROCM = PrefillConstants(
    dense=2.24,
    mixture=2.7,
    attention=7.56,
    weights=2.61,
    layers=1.55,
    bf16=0.47,
    cache=1.5,
    low=-0.42,
    high=0.42,
)

PREFILL: dict[SpeedClass, PrefillConstants] = {
    SpeedClass.METAL: _METAL,
    SpeedClass.METAL_M5: replace(
        _METAL, dense=0.362, mixture=0.6, attention=2.2, k_quants=0.438, old=0.0, low=-0.5, high=0.8
    ),
    SpeedClass.CUDA: PrefillConstants(
        dense=1.79,
        mixture=13.6,
        attention=2.27,
        weights=1.15,
        layers=1.57,
        k_quants=1.16,
        low=-0.43,
        high=0.8,
    ),
    SpeedClass.GB10: PrefillConstants(
        dense=2.51,
        mixture=3.27,
        attention=2.94,
        weights=1.16,
        layers=1.6,
        k_quants=2.62,
        low=-0.1,
        high=0.15,
    ),
    SpeedClass.ROCM: replace(_ROCM, low=-0.7, high=0.7),
    SpeedClass.ROCM_SHARED: _ROCM,
    SpeedClass.VULKAN_SHARED: PrefillConstants(
        dense=2.85,
        mixture=3.36,
        attention=5.68,
        weights=2.0,
        layers=1.45,
        bf16=4.79,
        cache=3.97,
        low=-0.25,
        high=0.8,
    ),
}
