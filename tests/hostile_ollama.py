"""An Ollama on a port of its own, each of whose answers a test can replace by bytes of its choice.

Where nothing is replaced it answers as an Ollama does, so that one damaged answer meets the client
in each phase of a trial.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Pieces = Iterable[bytes]
Damage = Callable[[bytes], Pieces]
"""From the body of an honest answer to what goes over the wire, head and body."""

MODEL = "m:latest"
TOKENS = 4
DETAILS = {"format": "gguf", "family": "llama", "quantization_level": "Q4_K_M"}
ENTRY = {"name": MODEL, "model": MODEL, "digest": "d" * 64, "details": DETAILS, "size": 10**9}
TENSORS = [{"name": "output.weight", "type": "F16", "shape": [1000, 1000]}]
SHOWN = {
    "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
    "tensors": TENSORS,
    "capabilities": ["completion"],
}
LOADED = {**ENTRY, "size_vram": 10**9, "context_length": 1024, "expires_at": "2026-12-01T00:00:00Z"}
FINAL = {
    "done": True,
    "done_reason": "length",
    "total_duration": 9_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_count": 4,
    "prompt_eval_duration": 4_000_000,
    "eval_count": TOKENS,
    "eval_duration": 4_000_000,
}


def record(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def answer_lines(holder: Callable[[str], dict[str, Any]]) -> bytes:
    lines = [record(done=False, **holder(f" w{number}")) for number in range(TOKENS)]
    return b"".join([*lines, record(**FINAL)])


def of_chat(word: str) -> dict[str, Any]:
    return {"message": {"content": word}}


def of_generate(word: str) -> dict[str, Any]:
    return {"response": word}


def plain(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> Pieces:
    """Return an answer whose end is the end of its connection."""
    head = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Connection: close"]
    return [b"\r\n".join([*head, *headers, b"", b""]), body]


class HostileOllama(socketserver.ThreadingTCPServer):
    """`damage` names, by path, how the answers to it are spoiled."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.damage: Mapping[str, Damage] = {}
        self.loaded = False
        self.sent_bytes = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in mid-answer is what these tests are about."""


class _Handler(socketserver.StreamRequestHandler):
    server: HostileOllama

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while self._answered():
                pass

    def _answered(self) -> bool:
        """Read one request and answer it; return whether the connection stays open."""
        words = self.rfile.readline().split()
        if len(words) < 2:
            return False
        length = 0
        while (line := self.rfile.readline()).strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        path = words[1].decode()
        body = self._honest(path, self.rfile.read(length))
        damage = self.server.damage.get(path)
        if damage is None:
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            self.connection.sendall(head % len(body) + body)
            return True
        for piece in damage(body):
            self.connection.sendall(piece)
            self.server.sent_bytes += len(piece)
        self.connection.shutdown(socket.SHUT_RDWR)
        return False

    def _honest(self, path: str, content: bytes) -> bytes:
        asked = json.loads(content) if content else {}
        if path == "/api/version":
            return record(version="0.34.4")
        if path == "/api/tags":
            return record(models=[ENTRY])
        if path == "/api/show":
            return record(**SHOWN)
        if path == "/api/ps":
            return record(models=[LOADED] if self.server.loaded else [])
        if path == "/api/chat":
            return answer_lines(of_chat)
        if asked.get("prompt"):
            return answer_lines(of_generate)
        self.server.loaded = asked.get("keep_alive") != 0
        return record(done=True, done_reason="load")


@contextmanager
def hostile_ollama() -> Iterator[HostileOllama]:
    with HostileOllama() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
