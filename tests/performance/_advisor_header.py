"""How many bytes it takes to read the head of a 65 GB GGUF file from an HTTP server.

The server stands on this machine and makes the file up as it is asked: a head as large as that of
gpt-oss 120b (200,000 tokens, 440,000 merges, 471 tensors), and zeros behind it.
"""

from __future__ import annotations

import re
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fleet.app.model_heads import from_url

FILE_BYTES = 65_369_818_941
TOKENS, MERGES, BLOCKS = 201_088, 446_189, 36


@dataclass(frozen=True)
class HeadRead:
    transferred: int
    seconds: float


def header_of_a_large_file(folder: Path) -> HeadRead:
    """Start the server, read the head once, and count what it sent."""
    head = _head()
    (folder / "head").write_bytes(head)
    sent: list[int] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(head, sent))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        started = time.perf_counter()
        shape, counted = from_url(f"http://127.0.0.1:{server.server_port}/model.gguf")
        seconds = time.perf_counter() - started
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert shape.blocks == BLOCKS, shape
    return HeadRead(transferred=max(sum(sent), counted), seconds=seconds)


def _handler(head: bytes, sent: list[int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            assert match, "the head is asked for by ranges"
            start, end = int(match[1]), int(match[2]) + 1
            piece = head[start:end].ljust(end - start, b"\0")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{FILE_BYTES}")
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            self.wfile.write(piece)
            sent.append(len(piece))

        def log_message(self, *_: object) -> None:
            """The server is silent."""

    return Handler


def _head() -> bytes:
    entries = list(_entries())
    tensors = list(_tensors())
    count = struct.pack("<QQ", len(tensors), len(entries))
    return b"GGUF" + struct.pack("<I", 3) + count + b"".join(entries) + b"".join(tensors)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _texts(key: str, items: Iterator[str], count: int) -> bytes:
    head = _text(key) + struct.pack("<IIQ", 9, 8, count)
    return head + b"".join(map(_text, items))


def _entries() -> Iterator[bytes]:
    yield _text("general.architecture") + struct.pack("<I", 8) + _text("gpt-oss")
    for key, value in {
        "block_count": BLOCKS, "embedding_length": 2880, "feed_forward_length": 2880,
        "attention.head_count": 64, "attention.head_count_kv": 8, "attention.key_length": 64,
        "attention.value_length": 64, "attention.sliding_window": 128, "context_length": 131072,
        "expert_count": 128, "expert_used_count": 4,
    }.items():  # fmt: skip
        yield _text(f"gpt-oss.{key}") + struct.pack("<II", 4, value)
    yield _texts("tokenizer.ggml.tokens", (f"token{n:07d}" for n in range(TOKENS)), TOKENS)
    kinds = struct.pack("<IIQ", 9, 5, TOKENS) + bytes(4 * TOKENS)
    yield _text("tokenizer.ggml.token_type") + kinds
    yield _texts("tokenizer.ggml.merges", (f"abc{n:05d} def" for n in range(MERGES)), MERGES)


def _tensors() -> Iterator[bytes]:
    yield _tensor("token_embd.weight", (2880, 201088), 30)
    yield _tensor("output.weight", (2880, 201088), 30)
    for block in range(BLOCKS):
        yield _tensor(f"blk.{block}.attn_q.weight", (2880, 4096), 30)
        yield _tensor(f"blk.{block}.attn_k.weight", (2880, 512), 30)
        yield _tensor(f"blk.{block}.attn_v.weight", (2880, 512), 30)
        yield _tensor(f"blk.{block}.attn_output.weight", (4096, 2880), 30)
        for part in ("gate", "up", "down"):
            yield _tensor(f"blk.{block}.ffn_{part}_exps.weight", (2880, 2880, 128), 39)


def _tensor(name: str, shape: tuple[int, ...], kind: int) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return _text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, 0)
