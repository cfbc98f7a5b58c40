"""What one token, or one prompt, asks of a machine; and the machine in the terms of speed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.advisor.kv import bytes_at, state_traffic
from fleet.advisor.machines_kind import Box, MachineKind, SpeedClass
from fleet.advisor.shape import ModelShape


class EngineAge(StrEnum):
    """Builds that differ in speed."""

    OLD = "old"
    """llama.cpp before the summer of 2024 (b4000)."""
    MIDDLE = "middle"
    """Up to the autumn of 2025 (b6500), and llama.cpp of an unknown version."""
    CURRENT = "current"
    """Since then; Ollama from 0.12, and Ollama of an unknown version."""


FIRST_MIDDLE_BUILD, FIRST_CURRENT_BUILD = 4000, 6500
FIRST_CURRENT_OLLAMA = (0, 12)


def age_of(kind: str, version: str) -> EngineAge:
    """Return the age of an engine by its version: `b7948`, `0.32.15`, `2023-11`."""
    words = version.strip().lower().lstrip("vb")
    if words[:4] in ("2022", "2023") and kind != "ollama":
        return EngineAge.OLD
    numbers = [int(part) for part in words.split(".") if part.isdigit() and len(part) < 7]
    if kind == "ollama":
        has_version = len(numbers) >= 2 and tuple(numbers[:2]) != (0, 0)
        if has_version and tuple(numbers[:2]) < FIRST_CURRENT_OLLAMA:
            return EngineAge.MIDDLE
        return EngineAge.CURRENT
    if not numbers or not numbers[0]:
        return EngineAge.MIDDLE
    if numbers[0] < FIRST_MIDDLE_BUILD:
        return EngineAge.OLD
    return EngineAge.MIDDLE if numbers[0] < FIRST_CURRENT_BUILD else EngineAge.CURRENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Muscle:
    """What a machine brings: its class and its peaks."""

    speed_class: SpeedClass
    bandwidth: float
    """Bytes a second."""
    flops: float
    """Operations a second, as `MachineKind.tflops` counts them."""
    devices: int = 1
    age: EngineAge = EngineAge.CURRENT


def muscle_of(machine: Box | MachineKind, age: EngineAge = EngineAge.CURRENT) -> Muscle:
    """Return the peaks of a machine."""
    kind = machine.kind if isinstance(machine, Box) else machine
    count = machine.devices if isinstance(machine, Box) else 1
    return Muscle(
        speed_class=kind.speed_class,
        bandwidth=kind.bandwidth_gb_s * 1e9,
        flops=kind.tflops * 1e12,
        devices=count,
        age=age,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeWork:
    """What decoding one token reads and computes."""

    weight_bytes: float
    cache_bytes: float
    """Of the cache at this depth, and of states read and written."""
    parameters: float
    layers: int
    experts_used: int = 0
    """0: a dense model."""
    latent: bool = False
    k_quants: bool = False
    bf16: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefillWork:
    """What reading a prompt computes; attention is summed over its tokens."""

    tokens: int
    batch: int
    parameters: float
    attention_flops: float
    touched_bytes: float
    """Weights read by one batch."""
    cache_bytes: float
    """Of the cache at the middle of the prompt."""
    layers: int
    experts_used: int = 0
    k_quants: bool = False
    bf16: bool = False


def is_k_quant(quantization: str) -> bool:
    """Whether the weights are stored in K-quants, which take more arithmetic to unpack."""
    return "_K" in quantization.upper() or quantization == "Q4"


def is_bf16(quantization: str) -> bool:
    return quantization.upper() in ("BF16", "BFLOAT16")


def decode_work(shape: ModelShape, depth: int, cache_type: str = "f16") -> DecodeWork | None:
    """Return the work of one token after `depth` others.

    None where the experts used are unknown.
    """
    weights, parameters = shape.active_bytes, shape.active_parameters
    if weights is None or parameters is None:
        return None
    return DecodeWork(
        weight_bytes=weights,
        cache_bytes=bytes_at(shape, depth, cache_type) + state_traffic(shape),
        parameters=parameters,
        layers=shape.blocks,
        experts_used=(shape.experts.used or 0) if shape.experts else 0,
        latent=shape.has("latent"),
        k_quants=is_k_quant(shape.quantization),
        bf16=is_bf16(shape.quantization),
    )


def prefill_work(
    shape: ModelShape, tokens: int, depth: int = 0, batch: int = 512
) -> PrefillWork | None:
    """Return the work of reading `tokens` after `depth` others.

    None where the experts are unknown.
    """
    parameters = shape.active_parameters
    if parameters is None:
        return None
    batch = max(min(batch, tokens), 1)
    return PrefillWork(
        tokens=tokens,
        batch=batch,
        parameters=parameters,
        attention_flops=attention_flops(shape, tokens, depth),
        touched_bytes=touched_bytes(shape, batch),
        cache_bytes=bytes_at(shape, depth + tokens // 2),
        layers=shape.blocks,
        experts_used=(shape.experts.used or 0) if shape.experts else 0,
        k_quants=is_k_quant(shape.quantization),
        bf16=is_bf16(shape.quantization),
    )


def attention_flops(shape: ModelShape, tokens: int, depth: int) -> float:
    """Operations of scores and sums: four for each pair of tokens and element of the heads."""
    middle = depth + tokens / 2
    total = 0.0
    for group in shape.layers:
        if group.kind == "recurrent":
            continue
        seen = min(middle, group.window) if group.kind == "windowed" else middle
        wide = shape.heads * (group.key_size + group.value_size) / 2
        total += 4 * group.count * tokens * seen * wide
    return total


def touched_bytes(shape: ModelShape, batch: int) -> float:
    """Weights that a batch reads: the dense ones, and each expert that at least one token uses."""
    weights = shape.weights
    dense = float(weights.gpu_bytes - weights.expert_bytes)
    if shape.experts is None or shape.experts.share is None:
        return dense + weights.expert_bytes
    untouched: float = (1 - shape.experts.share) ** batch
    return dense + weights.expert_bytes * (1 - untouched)
