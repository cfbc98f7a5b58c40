"""The shipped catalogue of models: an answer before anything is downloaded."""

from __future__ import annotations

import re
from functools import cache

from fleet.advisor.models_entry import MLX_FORMATS, Entry
from fleet.advisor.models_meta import META
from fleet.advisor.models_others import GOOGLE, MISTRAL, OTHERS
from fleet.advisor.models_qwen import QWEN
from fleet.advisor.recipes import RECIPES
from fleet.advisor.shape import ModelShape
from fleet.errors import UnknownName, nearest

CATALOGUE: tuple[Entry, ...] = META + QWEN + GOOGLE + MISTRAL + OTHERS

MLX_WORD = "mlx"
MLX_MIX = "nvfp4"
"""What a tag that ends in `-mlx` holds."""

_QUANTIZATIONS = {name.lower().replace("_", ""): name for name in RECIPES} | {
    "fp16": "F16",
    "bf16": "BF16",
    MLX_WORD: MLX_MIX,
}


def find(name: str) -> ModelShape | None:
    """Return the shape of a model by its name, a quantization at the end included; None if unknown.

    `qwen3:14b`, `qwen3:14b-q8_0`, `gemma4:26b-mlx`, `library/qwen3:14b` and `qwen3-14b` are read.
    """
    plain = plain_name(name)
    index = names()
    if plain in index:
        entry, tag = index[plain]
        return entry.shape(tag)
    stem, quantization = _split(plain)
    if quantization is None or stem not in index:
        return None
    entry = index[stem][0]
    sizes = [file.bytes for file in entry.files if file.quantization == quantization]
    return entry.quantized(quantization, next((size for size in sizes if size), None), name=plain)


def look_up(name: str) -> ModelShape:
    """Return the shape of a model; UnknownName with the nearest name if the catalogue has none."""
    shape = find(name)
    if shape is not None:
        return shape
    suggestion = nearest(plain_name(name), [entry.name for entry in CATALOGUE])
    near = f"did you mean {suggestion}? " if suggestion else ""
    raise UnknownName(
        f"{name[:80]}: not in the catalogue of models",
        f"{near}fleet fit --models lists it; a GGUF file or its address works too",
    )


def plain_name(name: str) -> str:
    """Return the name in small letters, without registry, namespace `library` and tag `latest`."""
    low = name.strip().lower()
    low = re.sub(r"^(registry\.ollama\.ai/)?(library/)?", "", low)
    return low.removesuffix(":latest")


@cache
def names() -> dict[str, tuple[Entry, str]]:
    """Every name and tag of the catalogue, in small letters, to its entry and tag."""
    index: dict[str, tuple[Entry, str]] = {}
    for entry in CATALOGUE:
        family = entry.name.partition(":")[0]
        for file in entry.files[1:]:
            index[f"{family}:{file.tag}".lower()] = entry, file.tag
        for alias in entry.aliases:
            index[alias.lower()] = entry, ""
        index[entry.name.lower()] = entry, ""
    return index


def variants(name: str) -> list[ModelShape]:
    """Return the other published tags of the same model, in the order of the catalogue."""
    match = names().get(plain_name(name)) or names().get(_split(plain_name(name))[0])
    if match is None:
        return []
    entry = match[0]
    return [entry.quantized(f.quantization, f.bytes, name=_tag(entry, f.tag)) for f in entry.files]


def _tag(entry: Entry, tag: str) -> str:
    return f"{entry.name.partition(':')[0]}:{tag}"


def _split(name: str) -> tuple[str, str | None]:
    """(`qwen3:14b`, `Q8_0`) of `qwen3:14b-q8_0`; (name, None) where it names no quantization."""
    stem, dash, last = name.rpartition("-")
    quantization = _QUANTIZATIONS.get(last.replace("_", "")) if dash else None
    if quantization is None:
        return name, None
    stem = re.sub(r"-(it|instruct|chat|text)$", "", stem)
    if last == "bf16" and ":" in stem and stem.split(":")[0] in ("gemma4", "qwen3.6", "qwen3.8"):
        quantization = "bfloat16"
    return stem, quantization


__all__ = ["CATALOGUE", "MLX_FORMATS", "find", "look_up", "names", "variants"]
