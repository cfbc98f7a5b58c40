"""What Ollama tells of its models, in the words of fleet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fleet.model.machine import ModelFacts

if TYPE_CHECKING:
    from ollama import ListResponse

BLOCKS: dict[str, tuple[int, int]] = {
    "F64": (1, 8),
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "I8": (1, 1),
    "I16": (1, 2),
    "I32": (1, 4),
    "I64": (1, 8),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "Q8_K": (256, 292),
    "IQ1_S": (256, 50),
    "IQ1_M": (256, 56),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98),
    "IQ3_S": (256, 110),
    "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
    "NVFP4": (64, 36),
}
"""Tensor type to (elements, bytes) of one block, as ggml stores it."""

SAME_ARCHITECTURE = {"gptoss": "gpt-oss"}
SAME_QUANTIZATION = {"MXFP4_MOE": "MXFP4"}
"""One thing with two names: Ollama's published files and those made from llama.cpp's."""


def tensors_bytes(tensors: object) -> int | None:
    """Exact bytes of the weights; None where a tensor is of an unknown type or none is listed."""
    if not isinstance(tensors, Sequence) or not tensors:
        return None
    total = 0
    for tensor in tensors:
        block = BLOCKS.get(str(tensor.get("type")).upper())
        if block is None:
            return None
        elements, size_bytes = block
        total += math.prod(tensor["shape"]) // elements * size_bytes
    return total


def listed(model: ListResponse.Model) -> ModelFacts:
    """What the list of models tells of one."""
    details = model.details
    return ModelFacts(
        name=model.model or "",
        digest=(model.digest or "").removeprefix("sha256:"),
        size_bytes=int(model.size or 0),
        architecture=_architecture(details.family if details else None),
        quantization=_quantization(details.quantization_level if details else None),
    )


def described(facts: ModelFacts, shown: Mapping[str, object]) -> ModelFacts:
    """The same model with what `/api/show` adds."""
    info = shown.get("model_info")
    info = info if isinstance(info, dict) else {}
    architecture = info.get("general.architecture")
    return ModelFacts(
        name=facts.name,
        digest=facts.digest,
        size_bytes=facts.size_bytes,
        architecture=_architecture(architecture) or facts.architecture,
        quantization=facts.quantization,
        parameters=info.get("general.parameter_count"),
        context_length=info.get(f"{architecture}.context_length"),
        tensors_bytes=tensors_bytes(shown.get("tensors")),
    )


def _architecture(name: str | None) -> str | None:
    return SAME_ARCHITECTURE.get(name, name) if name else None


def _quantization(name: str | None) -> str | None:
    return SAME_QUANTIZATION.get(name, name) if name and name != "unknown" else None
