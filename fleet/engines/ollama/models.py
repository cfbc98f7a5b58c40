"""What Ollama tells of its models, in the words of fleet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fleet.engines.incoming import (
    CONTEXT_TOKENS,
    DIMENSION,
    EXPERTS,
    PARAMETERS,
    SIZE_BYTES,
    text,
    whole,
)
from fleet.engines.ollama.stream import expiry_unix_ns
from fleet.model.gates import Resident
from fleet.model.job import Think
from fleet.model.machine import ModelFacts
from fleet.model.measure import Placement
from fleet.model.tensors import Tensor

SAME_ARCHITECTURE = {"gptoss": "gpt-oss"}
SAME_QUANTIZATION = {"MXFP4_MOE": "MXFP4"}
"""One thing with two names: Ollama's published files and those made from llama.cpp's."""

NAMES_OF_GGUF = ("blk.", "token_embd", "output")
"""How names begin in a GGUF file; a model for MLX has the names of its checkpoint."""
EXPERTS_IN_NAME = "_exps"
TABLE = "token_embd"
WORDS = "token_embd.weight"
OF_IMAGES = ("v.", "mm.", "a.")
"""Tensors of the parts that read pictures and sound, which take no part in writing text."""


LONGEST_PATH = 4096
_DIGEST = re.compile(r"(?:sha256:)?([0-9A-Za-z]{1,128})", re.ASCII)

Entry = Mapping[str, object]
"""One JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """One model in memory."""

    name: str
    placement: Placement
    resident: Resident


def tensors_bytes(tensors: object) -> int | None:
    """Exact bytes of the weights; None where a tensor is of an unknown type or none is listed."""
    return whole(sum(_sizes(tensors).values()) or None, SIZE_BYTES)


def active_bytes(tensors: object, info: Entry) -> int | None:
    """Of the weights, those read for each token."""
    sizes = _sizes(tensors)
    architecture = text(info.get("general.architecture"))
    experts = (info.get(f"{architecture}.{key}") for key in ("expert_used_count", "expert_count"))
    return whole(read_for_each_token(sizes, *experts), SIZE_BYTES) if sizes else None


def read_for_each_token(sizes: Mapping[str, int], used: object, experts: object) -> int | None:
    """Of tensors by name and bytes: experts by the share that is used, and no table of which a
    token reads one row, unless it serves as the output matrix too.

    None where the experts are unknown, or the names are not those of a GGUF file: a table or an
    expert that is not known as such would make the least time too long, and true rates impossible.
    """
    if not any(name.startswith(NAMES_OF_GGUF) for name in sizes):
        return None
    share = _share(whole(used, EXPERTS), whole(experts, EXPERTS))
    tied = "output.weight" not in sizes
    total = 0.0
    for name, size_bytes in sizes.items():
        if EXPERTS_IN_NAME in name:
            if share is None:
                return None
            total += size_bytes * share
        elif not name.startswith(OF_IMAGES) and (TABLE not in name or (tied and name == WORDS)):
            total += size_bytes
    return round(total)


def _share(used: int | None, experts: int | None) -> float | None:
    return used / experts if used and experts and used <= experts else None


def _sizes(tensors: object) -> dict[str, int]:
    """Bytes by name; nothing where one of them is not known."""
    sizes: dict[str, int] = {}
    for tensor in tensors if isinstance(tensors, list) else ():
        size_bytes = _size(tensor) if isinstance(tensor, dict) else None
        if size_bytes is None:
            return {}
        sizes[text(tensor.get("name"))] = size_bytes
    return sizes


def _size(tensor: Entry) -> int | None:
    shape = tensor.get("shape")
    if not isinstance(shape, list):
        return None
    dimensions = [number for each in shape if (number := whole(each, DIMENSION)) is not None]
    if len(dimensions) < len(shape):
        return None
    known = Tensor(text(tensor.get("name")), text(tensor.get("type")), tuple(dimensions))
    return whole(known.bytes, SIZE_BYTES)


def loaded_models(models: object) -> list[LoadedModel]:
    """Of the list in the answer of `/api/ps`."""
    return [
        LoadedModel(
            name=name,
            placement=Placement(
                size_bytes=whole(entry.get("size"), SIZE_BYTES),
                gpu_bytes=whole(entry.get("size_vram"), SIZE_BYTES),
                context_length=whole(entry.get("context_length"), CONTEXT_TOKENS),
            ),
            resident=Resident(name=name, expires_unix_ns=expiry_unix_ns(entry.get("expires_at"))),
        )
        for name, entry in _named(models)
    ]


def listed_models(models: object) -> list[ModelFacts]:
    """Of the list in the answer of `/api/tags`."""
    return [_listed(name, entry) for name, entry in _named(models)]


def _listed(name: str, entry: Entry) -> ModelFacts:
    details = entry.get("details")
    details = details if isinstance(details, dict) else {}
    digest = _DIGEST.fullmatch(text(entry.get("digest")))
    return ModelFacts(
        name=name,
        digest=digest[1] if digest else "",
        size_bytes=whole(entry.get("size"), SIZE_BYTES) or 0,
        architecture=_architecture(details.get("family")),
        quantization=_quantization(details.get("quantization_level")),
        unmeasurable=unmeasurable(entry),
    )


def unmeasurable(entry: Entry) -> str:
    """Why a model cannot be measured, by its entry in a list or its description."""
    if entry.get("remote_host") or entry.get("remote_model"):
        return "runs in the cloud, not on this machine"
    capabilities = [word for word in _list(entry.get("capabilities")) if isinstance(word, str)]
    if capabilities and "completion" not in capabilities:
        purpose = text(", ".join(capabilities), 60) or "something else"
        return f"writes no text, it is for {purpose}"
    return ""


def described(facts: ModelFacts, shown: Entry) -> ModelFacts:
    """The same model with what `/api/show` adds."""
    info = shown.get("model_info")
    info = info if isinstance(info, dict) else {}
    architecture = text(info.get("general.architecture"))
    return ModelFacts(
        name=facts.name,
        digest=facts.digest,
        size_bytes=facts.size_bytes,
        architecture=_architecture(architecture) or facts.architecture,
        quantization=facts.quantization,
        parameters=whole(info.get("general.parameter_count"), PARAMETERS),
        context_length=whole(info.get(f"{architecture}.context_length"), CONTEXT_TOKENS),
        tensors_bytes=tensors_bytes(shown.get("tensors")),
        active_bytes=active_bytes(shown.get("tensors"), info),
        default_think=_default_think(shown, _architecture(architecture) or facts.architecture),
        file=_file(shown.get("modelfile")),
        unmeasurable=facts.unmeasurable or unmeasurable(shown),
    )


def _default_think(shown: Entry, architecture: str | None) -> Think | None:
    """What Ollama does where a request says nothing of thinking; gpt-oss has levels only."""
    if "thinking" not in _list(shown.get("capabilities")):
        return None
    return "medium" if architecture == "gpt-oss" else True


def _file(modelfile: object) -> str | None:
    """The blob in `FROM /path`; a model made from another model is listed with its blob too."""
    match = re.search(r"^FROM (/.+)$", modelfile, re.M) if isinstance(modelfile, str) else None
    path = match[1].strip() if match else ""
    return path if path and path == text(path, LONGEST_PATH) else None


def _named(models: object) -> Iterator[tuple[str, Entry]]:
    """The entries of a list that name a model; one without a name can be asked for by nobody."""
    for entry in _list(models):
        if isinstance(entry, dict):
            name = text(entry.get("model")) or text(entry.get("name"))
            if name:
                yield name, entry


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _architecture(name: object) -> str | None:
    word = text(name)
    return SAME_ARCHITECTURE.get(word, word) or None


def _quantization(name: object) -> str | None:
    word = text(name)
    return None if word == "unknown" else SAME_QUANTIZATION.get(word, word) or None
