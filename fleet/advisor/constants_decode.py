"""Fitted constants of decoding, by class of machine.

Which rows fitted them: 269 public measurements of tokens written per second, whole on the GPU, by
llama.cpp and Ollama (builds of November 2023 to September 2026), 37 machines and cards, 33 models;
for Metal also the 73 entries of the public table of llama.cpp discussion 4167 (Llama 2 7B on 27
chips). How: all constants positive, the logarithm of measured over expected time as small as
possible, errors counted by their size, each constant pulled weakly to what is usual (the program
`tests/performance/advisor.py` fits and splits the same way).

Median error in tokens per second, 90th percentile behind it: of the rows that fitted them, and of
rows of a model that the fit had not seen (the same with a machine that it had not seen):

    Metal M1 to M4     3.6 %, 19 %      5.0 %, 23 %      5.2 %, 26 %
    CUDA               4.4 %, 37 %      5.9 %, 40 %      5.0 %, 40 %
    GB10               1.2 %, 10 %      3.4 %, 11 %
    ROCm, Strix Halo   7.1 %, 21 %      8.8 %, 24 %
    Vulkan, Strix Halo 3.7 %, 13 %      7.6 %, 55 %

Metal M5 has 7 rows of two machines: F16 and Q4_0 run 20 % faster than on older chips, Q4_K_M of
two sizes 40 % slower, which is one constant for unpacking K-quants, five times that of older
chips. It meets all 7 rows within 6 %, and a published figure that did not fit it (Qwen 3.5 35B
in Q4_K_M on an M5 Max: 58 tokens per second, 59 expected); the interval stays wide. Discrete
ROCm cards have 3 rows and take the constants of Strix Halo. `low` and `high` hold 90 % of the
rows: the logarithm of measured over expected time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.advisor.machines_kind import SpeedClass


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeConstants:
    """The constants of one class; `decode` says what each is multiplied with."""

    weights: float
    cache: float
    layers: float
    experts: float
    latent: float
    cores: float = 0.0
    layers_before: float = 0.0
    k_quants: float = 0.0
    old: float = 0.0
    bf16_experts: float = 0.0
    low: float
    high: float


_METAL = DecodeConstants(
    weights=0.895,
    cores=6.34,
    cache=1.73,
    layers=1.14,
    layers_before=0.579,
    experts=1.99,
    latent=3.0,  # no row: reports of GLM 4.7 Flash being 2 to 3 times slower at depth
    k_quants=2.02,
    old=1.21,
    low=-0.17,
    high=0.27,
)
_ROCM = DecodeConstants(
    weights=1.05, cache=1.85, latent=1.13, layers=1.43, experts=1.01, low=-0.14, high=0.27
)

DECODE: dict[SpeedClass, DecodeConstants] = {
    SpeedClass.METAL: _METAL,
    SpeedClass.METAL_M5: replace(
        _METAL,
        weights=0.752,
        cores=5.72,
        cache=2.2,
        layers=1.01,
        layers_before=0.257,
        k_quants=10.7,
        low=-0.25,
        high=0.45,
    ),
    SpeedClass.CUDA: DecodeConstants(
        weights=1.075,
        cache=1.98,
        latent=1.0,
        layers=0.718,
        layers_before=0.112,
        experts=0.234,
        old=9.25,
        low=-0.25,
        high=0.43,
    ),
    SpeedClass.GB10: DecodeConstants(
        weights=1.032, cache=1.24, latent=0.872, layers=0.844, experts=0.77, low=-0.08, high=0.11
    ),
    SpeedClass.ROCM: replace(_ROCM, low=-0.5, high=0.4),
    SpeedClass.ROCM_SHARED: _ROCM,
    SpeedClass.VULKAN_SHARED: DecodeConstants(
        weights=1.152,
        cache=1.38,
        latent=1.63,
        layers=0.703,
        experts=1.22,
        bf16_experts=2.48,
        low=-0.16,
        high=0.11,
    ),
}
