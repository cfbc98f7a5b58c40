"""The head of a GGUF file: its metadata and its list of tensors, without the weights.

The head is parsed from the first bytes of the file. Where these end too early, `Incomplete` says
so, and the caller reads further. Every count and every length is checked against what a real
model can have before anything is allocated, so a damaged or forged file ends in one clear error.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.errors import UserError
from fleet.model.tensors import GGML_TYPES, Tensor

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_ENTRIES = 100_000
MOST_TENSORS = 1_000_000
MOST_ITEMS = 50_000_000
MOST_TEXT_BYTES = 64 * 2**20
LONGEST_KEPT = 4096
"""Arrays with more items than this (the vocabulary) are counted, not kept."""

_SCALARS: dict[int, str] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_TEXT, _ARRAY = 8, 9

Scalar = str | int | float | bool


class Incomplete(ValueError):
    """The bytes end inside the head; at least `needed` bytes from the start are wanted."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"the head of the file goes on after byte {needed}")
        self.needed = needed


@dataclass(frozen=True, slots=True)
class Counted:
    """An array that is too long to keep; only its length is known."""

    items: int


Value = Scalar | list[Scalar] | Counted


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What the head of one file says."""

    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    head_bytes: int
    """Where the list of tensors ends."""


def parse_head(data: bytes) -> GgufHead:
    """Parse the head; Incomplete where more bytes are needed, UserError where it is no GGUF."""
    reader = _Reader(data)
    if reader.take(4) != MAGIC:
        raise UserError("this is no GGUF file: it does not begin with GGUF", "name a .gguf file")
    version = int(reader.number("<I"))
    if version not in VERSIONS:
        raise UserError(
            f"this GGUF file has version {version}; versions 2 and 3 are understood",
            "convert the model again with a current llama.cpp",
        )
    tensors = reader.count("tensors", MOST_TENSORS)
    entries = reader.count("metadata entries", MOST_ENTRIES)
    metadata: dict[str, Value] = {}
    for _ in range(entries):
        name = reader.text()
        metadata[name] = reader.value(int(reader.number("<I")))
    tensor_list = tuple(reader.tensor() for _ in range(tensors))
    return GgufHead(metadata=metadata, tensors=tensor_list, head_bytes=reader.at)


def as_model_info(head: GgufHead) -> dict[str, object]:
    """Return the metadata as `/api/show` gives it, with the vocabulary's length if it is known."""
    info: dict[str, object] = {
        name: value for name, value in head.metadata.items() if not isinstance(value, Counted)
    }
    tokens = head.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, Counted):
        info.setdefault("tokenizer.ggml.token_count", tokens.items)
    return info


class _Reader:
    """Reads from the front; every step says how many bytes it would have needed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self._data):
            raise Incomplete(end)
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def number(self, form: str) -> float | int | bool:
        size = struct.calcsize(form)
        if self.at + size > len(self._data):
            raise Incomplete(self.at + size)
        (value,) = struct.unpack_from(form, self._data, self.at)
        self.at += size
        return value if isinstance(value, (int, float)) else 0

    def count(self, what: str, most: int) -> int:
        number = int(self.number("<Q"))
        if number > most:
            raise UserError(
                f"this GGUF file claims {number} {what}: it is damaged", "download the file again"
            )
        return number

    def text(self) -> str:
        return self.take(self.count("bytes in one text", MOST_TEXT_BYTES)).decode(
            "utf-8", errors="replace"
        )

    def value(self, kind: int) -> Value:
        if kind == _TEXT:
            return self.text()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise UserError(
                f"this GGUF file has a value of the unknown type {kind}: it is damaged",
                "download the file again",
            )
        return self.number(_SCALARS[kind])

    def _array(self) -> Value:
        kind = int(self.number("<I"))
        items = self.count("items in one array", MOST_ITEMS)
        if items <= LONGEST_KEPT and kind != _ARRAY:
            return [_scalar(self.value(kind)) for _ in range(items)]
        if kind == _TEXT:
            self._skip_texts(items)
        elif kind in _SCALARS:
            self.take(items * struct.calcsize(_SCALARS[kind]))
        else:
            raise UserError("this GGUF file has an array of arrays: it is not understood")
        return Counted(items)

    def _skip_texts(self, items: int) -> None:
        """Step over texts without decoding them; a vocabulary has hundreds of thousands."""
        data, at, end = self._data, self.at, len(self._data)
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(items):
            if at + 8 > end:
                raise Incomplete(at + 8)
            at += 8 + unpack(data, at)[0]
            if at > end:
                raise Incomplete(min(at, end + MOST_TEXT_BYTES))
        self.at = at

    def tensor(self) -> Tensor:
        name = self.text()
        dimensions = int(self.number("<I"))
        if not 0 < dimensions <= 4:
            raise UserError(
                f"tensor {name[:40]!r} has {dimensions} dimensions: the file is damaged",
                "download the file again",
            )
        shape = tuple(int(self.number("<Q")) for _ in range(dimensions))
        kind = int(self.number("<I"))
        self.number("<Q")  # the offset of its weights
        return Tensor(name, GGML_TYPES.get(kind, f"type {kind}"), shape)


def _scalar(value: Value) -> Scalar:
    return value if isinstance(value, (str, int, float, bool)) else 0
