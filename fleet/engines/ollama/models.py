"""What Ollama tells of its models, in the words of fleet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fleet.engines.ollama.stream import unix_ns
from fleet.model.gates import Resident
from fleet.model.job import Think
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

EXPERTS = "_exps"
TABLE = "token_embd"
WORDS = "token_embd.weight"
OF_IMAGES = ("v.", "mm.", "a.")
"""Tensors of the parts that read pictures and sound, which take no part in writing text."""


def tensors_bytes(tensors: object) -> int | None:
    """Exact bytes of the weights; None where a tensor is of an unknown type or none is listed."""
    sizes = _sizes(tensors)
    return sum(sizes.values()) if sizes else None


def active_bytes(tensors: object, info: Mapping[str, object]) -> int | None:
    """Of the weights, those read for each token."""
    sizes = _sizes(tensors)
    architecture = info.get("general.architecture")
    experts = (info.get(f"{architecture}.{key}") for key in ("expert_used_count", "expert_count"))
    return read_for_each_token(sizes, *experts) if sizes else None


def read_for_each_token(sizes: Mapping[str, int], used: object, experts: object) -> int | None:
    """Of tensors by name and bytes: experts by the share that is used, and no table of which a
    token reads one row, unless it serves as the output matrix too. None: experts unknown."""
    share = used / experts if isinstance(used, int) and isinstance(experts, int) and experts else 0
    tied = "output.weight" not in sizes
    total = 0.0
    for name, size_bytes in sizes.items():
        if EXPERTS in name:
            if not share:
                return None
            total += size_bytes * share
        elif not name.startswith(OF_IMAGES) and (TABLE not in name or (tied and name == WORDS)):
            total += size_bytes
    return round(total)


def _sizes(tensors: object) -> dict[str, int]:
    """Bytes by name; nothing where one of them is not known."""
    if not isinstance(tensors, Sequence):
        return {}
    sizes = {}
    for tensor in tensors:
        block = BLOCKS.get(str(tensor.get("type")).upper())
        if block is None:
            return {}
        elements, size_bytes = block
        sizes[str(tensor.get("name"))] = math.prod(tensor["shape"]) // elements * size_bytes
    return sizes


def residents(models: object) -> list[Resident]:
    """Of the list in the answer of `/api/ps`."""
    told = models if isinstance(models, list) else []
    return [
        Resident(
            name=str(model.get("model") or model.get("name") or ""),
            expires_unix_ns=unix_ns(model.get("expires_at")),
        )
        for model in told
        if isinstance(model, dict)
    ]


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
        active_bytes=active_bytes(shown.get("tensors"), info),
        default_think=_default_think(shown, _architecture(architecture) or facts.architecture),
        file=_file(shown.get("modelfile")),
    )


def _default_think(shown: Mapping[str, object], architecture: str | None) -> Think | None:
    """What Ollama does where a request says nothing of thinking; gpt-oss has levels only."""
    capabilities = shown.get("capabilities")
    if not isinstance(capabilities, Sequence) or "thinking" not in capabilities:
        return None
    return "medium" if architecture == "gpt-oss" else True


def _file(modelfile: object) -> str | None:
    """The blob in `FROM /path`; a model made from another model is listed with its blob too."""
    match = re.search(r"^FROM (/.+)$", modelfile, re.M) if isinstance(modelfile, str) else None
    return match[1].strip() if match else None


def _architecture(name: str | None) -> str | None:
    return SAME_ARCHITECTURE.get(name, name) if name else None


def _quantization(name: str | None) -> str | None:
    return SAME_QUANTIZATION.get(name, name) if name and name != "unknown" else None
