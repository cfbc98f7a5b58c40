"""What Ollama tells of its models, in the words of fleet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.engines.incoming import (
    CONTEXT_TOKENS,
    PARAMETERS,
    SIZE_BYTES,
    text,
    whole,
)
from fleet.engines.ollama.stream import expiry_unix_ns
from fleet.engines.ollama.weights import (
    active_bytes,
    bits_of,
    drafts_of,
    listed_tensors,
    tensors_bytes,
)
from fleet.model.gates import Resident
from fleet.model.job import Think
from fleet.model.machine import ModelFacts
from fleet.model.measure import Placement
from fleet.model.runners import variant_hint

SAME_ARCHITECTURE = {"gptoss": "gpt-oss"}
SAME_QUANTIZATION = {"MXFP4_MOE": "MXFP4"}
"""One thing with two names: Ollama's published files and those made from llama.cpp's."""

LONGEST_PATH = 4096
_DIGEST = re.compile(r"(?:sha256:)?([0-9A-Za-z]{1,128})", re.ASCII)
_SHADOW = re.compile(r"llamacpp:[0-9a-f]{64}(?::latest)?", re.ASCII)
"""A row that Ollama 0.40 lists beside a model for a repacked file of it; no name to ask for."""

Entry = Mapping[str, object]
"""One JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """One model in memory."""

    name: str
    placement: Placement
    resident: Resident


def loaded_models(models: object) -> list[LoadedModel]:
    """Of the list in the answer of `/api/ps`."""
    return [
        LoadedModel(
            name=name,
            placement=Placement(
                size_bytes=whole(entry.get("size"), SIZE_BYTES),
                gpu_bytes=whole(entry.get("size_vram"), SIZE_BYTES),
                context_length=whole(entry.get("context_length"), CONTEXT_TOKENS),
                digest=_digest(entry),
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
    return ModelFacts(
        name=name,
        digest=_digest(entry),
        size_bytes=whole(entry.get("size"), SIZE_BYTES) or 0,
        architecture=_architecture(details.get("family")),
        quantization=_quantization(details.get("quantization_level")),
        model_format=text(details.get("format")) or None,
        unmeasurable=unmeasurable(entry),
    )


def _digest(entry: Entry) -> str:
    digest = _DIGEST.fullmatch(text(entry.get("digest")))
    return digest[1] if digest else ""


def the_one_shown(rows: Sequence[ModelFacts], shown: Entry) -> ModelFacts:
    """Return which of several models under one name its description is of, by their formats.

    Where that does not tell, the model cannot be measured, and says so.
    """
    details = shown.get("details")
    wanted = text(details.get("format")) if isinstance(details, dict) else ""
    taken = [row for row in rows if row.model_format == wanted]
    if len(taken) == 1:
        others = {row.digest for row in rows} - {taken[0].digest}
        return replace(taken[0], other_digests=tuple(sorted(others)))
    name = rows[0].name
    variants = ", ".join(f"{row.model_format} {row.digest[:12]}" for row in rows)
    return replace(rows[0], unmeasurable=f"is {len(rows)} models: {variants}; {variant_hint(name)}")


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
    """Return the same model with what `/api/show` adds."""
    info = shown.get("model_info")
    info = info if isinstance(info, dict) else {}
    details = shown.get("details")
    details = details if isinstance(details, dict) else {}
    architecture = text(info.get("general.architecture"))
    model_format = text(details.get("format")) or facts.model_format
    tensors = listed_tensors(shown.get("tensors"))
    return ModelFacts(
        name=facts.name,
        digest=facts.digest,
        size_bytes=facts.size_bytes,
        architecture=_architecture(architecture) or facts.architecture,
        quantization=_quantization(details.get("quantization_level")) or facts.quantization,
        model_format=model_format,
        bits_per_weight=bits_of(tensors),
        drafts=drafts_of(model_format, tensors),
        parameters=whole(info.get("general.parameter_count"), PARAMETERS),
        context_length=whole(info.get(f"{architecture}.context_length"), CONTEXT_TOKENS),
        tensors_bytes=tensors_bytes(tensors),
        active_bytes=active_bytes(tensors, info),
        other_digests=facts.other_digests,
        default_think=_default_think(shown, _architecture(architecture) or facts.architecture),
        file=_file(shown.get("modelfile")),
        unmeasurable=facts.unmeasurable or unmeasurable(shown),
    )


def _default_think(shown: Entry, architecture: str | None) -> Think | None:
    """Return what Ollama does if a request says nothing of thinking; gpt-oss has only levels."""
    if "thinking" not in _list(shown.get("capabilities")):
        return None
    return "medium" if architecture == "gpt-oss" else True


def _file(modelfile: object) -> str | None:
    """Return the blob in `FROM /path`.

    A model made from another model is listed with its blob too.
    """
    match = re.search(r"^FROM (/.+)$", modelfile, re.M) if isinstance(modelfile, str) else None
    path = match[1].strip() if match else ""
    return path if path and path == text(path, LONGEST_PATH) else None


def _named(models: object) -> Iterator[tuple[str, Entry]]:
    """Yield the entries of a list that name a model.

    One without a name can be asked for by nobody.
    """
    for entry in _list(models):
        if isinstance(entry, dict):
            name = text(entry.get("model")) or text(entry.get("name"))
            if name and not _SHADOW.fullmatch(name):
                yield name, entry


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _architecture(name: object) -> str | None:
    word = text(name)
    return SAME_ARCHITECTURE.get(word, word) or None


def _quantization(name: object) -> str | None:
    word = text(name)
    return None if word == "unknown" else SAME_QUANTIZATION.get(word, word) or None
