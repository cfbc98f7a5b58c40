"""What the wire of one client notes: the socket to cut, and the moment it began to send."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from fleet.engines.ollama.connection import Wire
from tests.builders import SteppedClock


class _Ok(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Ok) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_stamp_is_of_the_latest_request_and_of_its_writing(address: str) -> None:
    """Not of its building, and not of the question that opened the connection."""
    clock = SteppedClock()
    wire = Wire(clock)
    with httpx.Client(base_url=address, transport=wire.transport(None)) as client:
        client.get("/api/version")
        opened_ns = wire.sent_ns
        clock.sleep(1.0, threading.Event())
        request = client.build_request("POST", "/api/generate", content=b"{}")
        assert wire.sent_ns == opened_ns
        clock.sleep(2.0, threading.Event())
        client.send(request)
    assert wire.sent_ns - opened_ns == 3_000_000_000
