"""Metadata and model files of our own making, in the shapes that engines and converters write."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

TYPES = {"F32": 0, "F16": 1, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14, "BF16": 30, "MXFP4": 39}

Tensors = Sequence[tuple[str, str, Sequence[int]]]


def info(architecture: str, **keys: object) -> dict[str, object]:
    """`model_info` of `/api/show`; `head_count` stands for `attention.head_count` and so on."""
    attention = ("head_count", "head_count_kv", "key_length", "value_length", "sliding_window",
                 "sliding_window_pattern", "kv_lora_rank", "key_length_mla", "shared_kv_layers",
                 "key_length_swa", "value_length_swa")  # fmt: skip
    result: dict[str, object] = {"general.architecture": architecture}
    for key, value in keys.items():
        name = f"attention.{key}" if key in attention else key.replace("__", ".")
        result[f"{architecture}.{name}"] = value
    return result


def dense(architecture: str = "llama", **more: object) -> dict[str, object]:
    """A dense model of 8 G parameters."""
    keys: dict[str, object] = {
        "block_count": 32, "embedding_length": 4096, "feed_forward_length": 14336,
        "head_count": 32, "head_count_kv": 8, "context_length": 131072, "vocab_size": 128256,
    }  # fmt: skip
    made = info(architecture, **{**keys, **more})
    return {**made, "general.parameter_count": 8_030_261_248}


def show_answer(
    model_info: Mapping[str, object],
    tensors: Tensors = (),
    form: str = "gguf",
    quantization: str = "Q4_K_M",
) -> dict[str, object]:
    """An answer of `/api/show`."""
    tensor_bytes = [{"name": n, "type": t, "shape": list(s)} for n, t, s in tensors]
    details = {"format": form, "quantization_level": quantization}
    return {"model_info": dict(model_info), "tensors": tensor_bytes or None, "details": details}


def dense_tensors(blocks: int, width: int = 64, kv: int = 16, vocabulary: int = 1000) -> Tensors:
    """The tensors of a small dense model, F16, with an output matrix of its own."""
    tensors: list[tuple[str, str, Sequence[int]]] = [
        ("token_embd.weight", "F16", (width, vocabulary)),
        ("output.weight", "F16", (width, vocabulary)),
        ("output_norm.weight", "F32", (width,)),
    ]
    for block in range(blocks):
        tensors += [
            (f"blk.{block}.attn_q.weight", "F16", (width, width)),
            (f"blk.{block}.attn_k.weight", "F16", (width, kv)),
            (f"blk.{block}.attn_v.weight", "F16", (width, kv)),
            (f"blk.{block}.ffn_up.weight", "Q8_0", (width, 4 * width)),
        ]
    return tensors


def gguf_bytes(metadata: Mapping[str, object], tensors: Tensors = ()) -> bytes:
    """The head of a GGUF file, version 3."""
    entries = b"".join(_text(key) + _value(value) for key, value in metadata.items())
    tensor_bytes = b"".join(
        _text(name)
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", TYPES[kind], 0)
        for name, kind, shape in tensors
    )
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + entries + tensor_bytes


def safetensors_bytes(tensors: Tensors) -> bytes:
    """The head of a safetensors file; shapes as PyTorch writes them, the row length last."""
    head: dict[str, object] = {"__metadata__": {"format": "mlx"}}
    for name, kind, shape in tensors:
        head[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [0, 0]}
    raw = json.dumps(head).encode()
    return struct.pack("<Q", len(raw)) + raw


def write_gguf(path: Path, model_info: Mapping[str, object], tensors: Tensors) -> Path:
    path.write_bytes(gguf_bytes(model_info, tensors) + bytes(64))
    return path


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<IQ", 10, value)
    if isinstance(value, float):
        return struct.pack("<Id", 12, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    assert isinstance(value, list)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
