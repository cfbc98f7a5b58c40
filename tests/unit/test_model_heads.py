"""Heads of model files: from a disk, by HTTP ranges, damaged, cut off and split."""

from __future__ import annotations

import json
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleet.app import model_heads
from fleet.app.model_heads import from_path, from_url
from fleet.errors import FleetUnreachable, UserError
from fleet.readers import gguf, safetensors
from tests.builders_advisor import (
    dense_tensors,
    gguf_bytes,
    info,
    safetensors_bytes,
    write_gguf,
)

METADATA = info("llama", block_count=2, embedding_length=64, head_count=4, head_count_kv=1)
TENSORS = dense_tensors(2)
HEAD = gguf_bytes(METADATA, TENSORS)


def test_a_head_is_read_whole() -> None:
    long = {"tokenizer.ggml.tokens": ["x"] * 5000, "a.scale": 1.5, "a.flag": True, "a.b": [1, 2]}
    head = gguf.parse_head(gguf_bytes({**METADATA, **long}, TENSORS))
    assert head.metadata["tokenizer.ggml.tokens"] == gguf.Counted(5000)
    assert (head.metadata["a.scale"], head.metadata["a.flag"]) == (1.5, True)
    assert head.metadata["a.b"] == [1, 2]
    assert [(t.name, t.type, list(t.shape)) for t in head.tensors] == [
        (name, kind, list(shape)) for name, kind, shape in TENSORS
    ]
    assert gguf.as_model_info(head)["tokenizer.ggml.token_count"] == 5000


def test_every_cut_wants_more_and_never_too_little() -> None:
    for length in range(len(HEAD)):
        with pytest.raises(gguf.Incomplete) as problem:
            gguf.parse_head(HEAD[:length])
        assert length < problem.value.needed <= len(HEAD)
    assert gguf.parse_head(HEAD).head_bytes == len(HEAD)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04" + bytes(40), "no GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(40), "version"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0), "damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60), "damaged"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 99), "unknown type"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"a" + struct.pack("<I", 9), "9 dimensions"),
    ],
)
def test_damaged_heads_end_in_a_message(data: bytes, what: str) -> None:
    with pytest.raises(UserError, match=what):
        gguf.parse_head(data)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**60), struct.pack("<Q", 4) + b"nope", struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 7) + b'{"a":1}', struct.pack("<Q", 9) + b'{"a":{}} ',
    ],
)  # fmt: skip
def test_damaged_safetensors_end_in_a_message(data: bytes) -> None:
    with pytest.raises(UserError):
        safetensors.parse_head(data)


def test_a_file_gives_its_shape(tmp_path: Path) -> None:
    shape = from_path(write_gguf(tmp_path / "small.gguf", METADATA, TENSORS))
    assert (shape.name, shape.blocks, shape.vocabulary) == ("small", 2, 1000)


def test_a_file_that_is_cut_off_says_so(tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(HEAD[:-10])
    with pytest.raises(UserError, match="ends inside its head"):
        from_path(tmp_path / "cut.gguf")


def test_parts_of_a_split_file_are_read_together(tmp_path: Path) -> None:
    half = len(TENSORS) // 2
    first = write_gguf(tmp_path / "m-00001-of-00002.gguf", METADATA, TENSORS[:half])
    with pytest.raises(UserError, match="one of 2 parts"):
        from_path(first)
    write_gguf(tmp_path / "m-00002-of-00002.gguf", {"split.no": 1}, TENSORS[half:])
    whole = write_gguf(tmp_path / "whole.gguf", METADATA, TENSORS)
    assert from_path(first).weights == from_path(whole).weights


def test_a_folder_of_safetensors_needs_its_config(tmp_path: Path) -> None:
    tensors = [
        ("model.embed_tokens.weight", "BF16", (1000, 64)),
        ("model.layers.0.self_attn.k_proj.weight", "BF16", (32, 64)),
        ("model.layers.0.self_attn.v_proj.weight", "BF16", (32, 64)),
    ]
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    with pytest.raises(UserError, match=r"config\.json"):
        from_path(tmp_path)
    config = {"model_type": "qwen3", "num_hidden_layers": 1, "hidden_size": 64,
              "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = from_path(tmp_path)
    assert shape.format == "safetensors"
    assert shape.weights.text_bytes == 2 * (64_000 + 2 * 2048)
    assert from_path(tmp_path / "model.safetensors").layers == shape.layers


def test_a_reader_of_pictures_is_no_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "mmproj.gguf", {"general.architecture": "clip"}, TENSORS)
    with pytest.raises(UserError, match="only encodes images"):
        from_path(path)


@contextmanager
def server_of(
    content: bytes, *, ranges: bool = True, status: int = 206
) -> Iterator[tuple[str, list]]:
    """(address, the lengths that were sent) of a server on this machine."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            assert match
            start, end = int(match[1]), int(match[2]) + 1
            piece = content[start:end] if ranges else content
            self.send_response(status if ranges else 200)
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            sent.append(len(piece))
            try:
                self.wfile.write(piece)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """The server is silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model.gguf", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_head_by_http(ranges: bool) -> None:
    with server_of(HEAD + bytes(3 * 2**20), ranges=ranges) as (address, sent):
        shape, transferred = from_url(address)
    assert shape.blocks == 2
    assert transferred == 2**20
    assert sent[0] >= 2**20


def test_no_more_than_32_mib_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_heads, "MOST_HTTP_BYTES", 2**20)
    tokens = ["long token"] * 100_000
    content = gguf_bytes({**METADATA, "tokenizer.ggml.tokens": tokens}, TENSORS)
    assert len(content) > 2**20
    with server_of(content) as (address, sent), pytest.raises(UserError, match="longer than 1 MiB"):
        from_url(address)
    assert sum(sent) == 2**20


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_address_that_gives_nothing(status: int) -> None:
    with (
        server_of(HEAD, status=status) as (address, _),
        pytest.raises(UserError, match=str(status)),
    ):
        from_url(address)


def test_a_server_that_does_not_answer_keeps_its_token_to_itself() -> None:
    with pytest.raises(FleetUnreachable) as problem:
        from_url("http://user:secret@127.0.0.1:9/model.gguf?token=secret")
    assert "secret" not in str(problem.value)
