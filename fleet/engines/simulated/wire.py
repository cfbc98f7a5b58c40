"""One HTTP connection of the server: whole answers, streamed lines, and waiting to the moment."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Mapping

from fleet.units import NS_PER_S

SPIN_NS = 200_000
"""A sleep ends about this late at most, so the last stretch before a due time is spent awake."""

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}


class ClientGone(Exception):
    """Nobody is left to answer."""


class Wire:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def json(self, value: object, status: int = 200) -> None:
        self.body(json.dumps(value).encode(), JSON, status)

    def body(self, content: bytes, kind: str, status: int = 200) -> None:
        length = {"Content-Length": str(len(content))}
        self._send(_head(status, kind, length) + content)

    def begin_lines(self) -> None:
        self._send(_head(200, NDJSON, {"Transfer-Encoding": "chunked"}))

    def line(self, line: bytes) -> None:
        self._send(b"%x\r\n%s\r\n" % (len(line), line))

    def end_lines(self) -> None:
        self._send(b"0\r\n\r\n")

    def wait_until(self, due_ns: int) -> None:
        """Wait until this moment of the monotonic clock; raises ClientGone before it."""
        while (left_ns := due_ns - SPIN_NS - time.monotonic_ns()) > 0:
            self._listen(left_ns / NS_PER_S)
        while time.monotonic_ns() < due_ns:
            pass

    def wait_for_the_end(self) -> None:
        """Wait until the client gives up, or the server stops."""
        while True:
            self._listen(3600)

    def _listen(self, timeout_s: float) -> None:
        """Listen for so long; raises ClientGone, since a client that waits sends nothing else."""
        if not select.select([self._connection], [], [], timeout_s)[0]:
            return
        try:
            received = self._connection.recv(1, socket.MSG_PEEK)
        except OSError as problem:
            raise ClientGone from problem
        if not received:
            raise ClientGone
        time.sleep(timeout_s)  # it has sent its next request already

    def _send(self, content: bytes) -> None:
        try:
            self._connection.sendall(content)
        except OSError as problem:
            raise ClientGone from problem


def _head(status: int, kind: str, more: Mapping[str, str]) -> bytes:
    fields = {"Content-Type": kind, **more}
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
