"""What the list of a model's tensors tells: bytes, bits per weight, bytes per token, drafts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fleet.engines.incoming import DIMENSION, EXPERTS, SIZE_BYTES, text, whole
from fleet.model.machine import Drafts
from fleet.model.runners import MLX_FORMAT
from fleet.model.tensors import Tensor

NAMES_OF_GGUF = ("blk.", "token_embd", "output")
"""How names begin in a GGUF file; a model for MLX has the names of its checkpoint."""
EXPERTS_IN_NAME = "_exps"
TABLE = "token_embd"
WORDS = "token_embd.weight"
OF_IMAGES = ("v.", "mm.", "a.")
"""Tensors of the parts that read pictures and sound, which take no part in writing text."""

_DRAFT_HEAD = re.compile(r"(?:^|\.)(?:draft|mtp)\.")
_LAYER = re.compile(r"(?:^|\.)layers\.\d+\.")
_WITHOUT_TEXT = re.compile(r"vision|visual|audio|image|multi_modal")
_EXPERTS = re.compile(r"expert|switch_mlp")
_HEAD = re.compile(r"(?:^|\.)lm_head\.")
_TABLE = re.compile(r"(?:^|\.)embed_tokens\.weight$")
"""Names of a checkpoint, as Ollama lists a model for MLX."""

Entry = Mapping[str, object]
"""One JSON object."""


def listed_tensors(tensors: object) -> tuple[Tensor, ...]:
    """Return the tensors of a description; none where the size of one of them is not known."""
    entries = tensors if isinstance(tensors, list) else ()
    known = [_tensor(entry) if isinstance(entry, dict) else None for entry in entries]
    listed = tuple(tensor for tensor in known if tensor is not None)
    return listed if len(listed) == len(known) else ()


def _tensor(entry: Entry) -> Tensor | None:
    shape = entry.get("shape")
    if not isinstance(shape, list):
        return None
    dimensions = [number for each in shape if (number := whole(each, DIMENSION)) is not None]
    if len(dimensions) < len(shape):
        return None
    tensor = Tensor(text(entry.get("name")), text(entry.get("type")), tuple(dimensions))
    return None if whole(tensor.bytes, SIZE_BYTES) is None else tensor


def sizes_of(tensors: Iterable[Tensor]) -> dict[str, int]:
    """Return the bytes of each tensor by its name."""
    return {tensor.name: tensor.bytes or 0 for tensor in tensors}


def tensors_bytes(tensors: Iterable[Tensor]) -> int | None:
    """Return the exact bytes of the weights; None where none is listed."""
    return whole(sum(sizes_of(tensors).values()) or None, SIZE_BYTES)


def active_bytes(tensors: Iterable[Tensor], info: Entry) -> int | None:
    """Return the bytes of the weights that are read for each token; None where not known."""
    sizes = sizes_of(tensors)
    architecture = text(info.get("general.architecture"))
    experts = (info.get(f"{architecture}.{key}") for key in ("expert_used_count", "expert_count"))
    return whole(read_for_each_token(sizes, *experts), SIZE_BYTES) if sizes else None


def read_for_each_token(sizes: Mapping[str, int], used: object, experts: object) -> int | None:
    """Return the bytes that one token reads, of tensors by name and bytes.

    Experts count by the share that is used. A table of which a token reads one row counts only
    where it serves as the output matrix too. None where the experts are unknown: a table or an
    expert that is not known as such would make the least time too long, and true rates impossible.
    """
    if not any(name.startswith(NAMES_OF_GGUF) for name in sizes):
        return _read_of_checkpoint(sizes)
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


def _read_of_checkpoint(sizes: Mapping[str, int]) -> int | None:
    """Return the bytes of the layers and of the output matrix alone, by the checkpoint's names.

    Ollama tells no number of experts of such a model, so one with experts has no figure.
    """
    names = [name for name in sizes if writes_text(name)]
    layers = [name for name in names if _LAYER.search(name)]
    if not layers or any(_EXPERTS.search(name) for name in names):
        return None
    heads = [name for name in names if _HEAD.search(name)]
    tables = [name for name in names if _TABLE.search(name)]
    return sum(sizes[name] for name in (*layers, *(heads or tables)))


def writes_text(name: str) -> bool:
    """Return whether a tensor takes part in writing text: no draft head, no pictures, no sound."""
    return not (
        name.startswith(OF_IMAGES) or _DRAFT_HEAD.search(name) or _WITHOUT_TEXT.search(name)
    )


def _share(used: int | None, experts: int | None) -> float | None:
    return used / experts if used and experts and used <= experts else None


def bits_of(tensors: Iterable[Tensor]) -> float | None:
    """Return the bits of a weight on average, with the scales of its block."""
    of_text = [tensor for tensor in tensors if writes_text(tensor.name)]
    size_bytes = sum(tensor.bytes or 0 for tensor in of_text)
    return bits_per_weight(size_bytes, sum(tensor.elements for tensor in of_text))


def bits_per_weight(size_bytes: int, weights: int) -> float | None:
    return round(8 * size_bytes / weights, 3) if size_bytes and weights else None


def drafts_of(model_format: str | None, tensors: Iterable[Tensor]) -> Drafts | None:
    """Tell whether a model writes with drafts.

    llama-server is asked for none; MLX always uses a draft head that the model has.
    """
    if model_format == "gguf":
        return "no"
    names = [tensor.name for tensor in tensors]
    if model_format != MLX_FORMAT or not names:
        return None
    return "yes" if any(map(_DRAFT_HEAD.search, names)) else "no"
