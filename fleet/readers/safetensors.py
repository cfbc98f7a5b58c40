"""The head of a safetensors file: its list of tensors, without the weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

from fleet.errors import UserError
from fleet.model.tensors import Tensor
from fleet.readers.gguf import Incomplete

LENGTH_BYTES = 8
MOST_HEAD_BYTES = 100 * 2**20
_PLAIN = {"F8_E4M3FN": "F8_E4M3"}


def parse_head(data: bytes) -> tuple[Tensor, ...]:
    """Return the tensors; Incomplete where more bytes are needed, UserError where it is damaged."""
    if len(data) < LENGTH_BYTES:
        raise Incomplete(LENGTH_BYTES)
    (length,) = struct.unpack_from("<Q", data)
    if not 2 <= length <= MOST_HEAD_BYTES:
        raise UserError(
            f"this safetensors file claims a head of {length} bytes: it is damaged",
            "download the file again",
        )
    if len(data) < LENGTH_BYTES + length:
        raise Incomplete(LENGTH_BYTES + length)
    try:
        head = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
    except (ValueError, RecursionError) as problem:
        raise UserError(
            "the head of this safetensors file is not readable: it is damaged",
            "download the file again",
        ) from problem
    if not isinstance(head, dict):
        raise UserError("the head of this safetensors file is no list of tensors")
    return tuple(_tensor(name, entry) for name, entry in head.items() if name != "__metadata__")


def _tensor(name: str, entry: object) -> Tensor:
    """Parse one tensor; the file lists the length of a row last, so the shape is turned round."""
    if isinstance(entry, Mapping):
        kind, shape = entry.get("dtype"), entry.get("shape")
        if isinstance(kind, str) and isinstance(shape, list):
            sizes = [size for size in shape if isinstance(size, int) and size >= 0]
            if len(sizes) == len(shape):
                return Tensor(name, _PLAIN.get(kind, kind), tuple(reversed(sizes)) or (1,))
    raise UserError(
        f"tensor {str(name)[:40]!r} of this safetensors file has no type and shape: it is damaged",
        "download the file again",
    )
