"""A connection that another thread can cut.

A blocking read cannot look at a `stop`, and httpx cannot resume a read that timed out. So each
call that may last has a watcher beside it: a thread that sleeps nearly always and shuts the
socket down when the call has to end. The reader then sees the end of the connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

import httpx

from fleet.ports import Clock, Stop

POLL_S = 0.1
"""How often the watcher looks: a stop takes effect within this time and a little more."""

LARGEST_BODY_BYTES = 64 * 2**20
"""No answer of an Ollama that is read whole comes near it."""

LONGEST_LINE_BYTES = 2**20
"""Of the progress of a pull."""

HEADERS = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
"""Compressed chunks would arrive later than the tokens in them."""

SENDING = "http11.send_request_headers.started"
CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for an engine, in seconds; nothing waits forever."""

    connect_s: float = 5.0
    answer_s: float = 30.0
    """For what an engine knows at once: version, list, show."""
    load_s: float = 1800.0
    first_byte_s: float = 600.0
    """From the request to its first byte: a cold load and the whole prefill lie in between."""
    silence_s: float = 120.0
    """Between two chunks of an answer, or two lines of a pull."""
    unload_s: float = 30.0
    whole_s: float = 3600.0
    """For a whole answer after its first byte, however steadily it drips."""
    token_s: float = 10.0
    """For each token of it, where that makes more: no machine is measured that needs longer."""

    @property
    def version_s(self) -> float:
        """To open a connection by a small question, whatever answers it."""
        return self.connect_s + self.answer_s

    def timeout(self, read_s: float) -> httpx.Timeout:
        return httpx.Timeout(self.answer_s, connect=self.connect_s, read=read_s)


@dataclass(slots=True)
class Wire:
    """The latest socket opened by the clients made here, and when they last began to send."""

    clock: Clock
    sent_ns: int = 0
    """When the latest request began to be written; what httpx does before is not the engine's."""
    _socket: socket.socket | None = None

    def note(self, event: str, info: Mapping[str, object]) -> None:
        """httpcore's trace hook; called a few times per request, never per chunk."""
        if event == SENDING:
            self.sent_ns = self.clock.monotonic_ns()
        elif event in CONNECTED:
            stream = info["return_value"]
            self._socket = stream.get_extra_info("socket")  # type: ignore[attr-defined]

    def cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may be closed by now
                # an SSLSocket's own shutdown would drop its state under the reader
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def transport(self, tls: ssl.SSLContext | None) -> httpx.BaseTransport:
        return _Traced(self, verify=tls if tls is not None else False, trust_env=False, retries=0)


def open_client(
    base_url: str, wire: Wire, tls: ssl.SSLContext | None, timeout: httpx.Timeout
) -> httpx.Client:
    """Return a client on which no environment variable has an influence.

    It takes no proxy, no certificate, no password of a .netrc file and no log of TLS keys from
    there, and it follows no redirect.
    """
    return httpx.Client(
        base_url=base_url,
        transport=wire.transport(tls),
        timeout=timeout,
        headers=HEADERS,
        trust_env=False,
        follow_redirects=False,
    )


def tls_of(base_url: str) -> ssl.SSLContext | None:
    """Return what an https address needs: the authorities that this system's own files name.

    SSL_CERT_FILE and SSL_CERT_DIR are not read. None where the address is no https one.
    """
    if not base_url.startswith("https:"):
        return None
    context, paths = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.get_default_verify_paths()
    if os.path.isfile(paths.openssl_cafile):
        context.load_verify_locations(cafile=paths.openssl_cafile)
    if os.path.isdir(paths.openssl_capath):
        context.load_verify_locations(capath=paths.openssl_capath)
    return context


def body_of(response: httpx.Response) -> bytes:
    """Return the whole body; raises ValueError where it is larger than any answer of an Ollama."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > LARGEST_BODY_BYTES:
            raise ValueError(f"an answer of more than {LARGEST_BODY_BYTES // 2**20} MiB")
    return bytes(body)


def lines_of(response: httpx.Response) -> Iterator[bytes]:
    """Yield the lines that are not empty; raises ValueError for one longer than any of Ollama."""
    rest = bytearray()
    for piece in response.iter_bytes():
        *whole, tail = piece.split(b"\n")
        for line in whole:
            yield from [bytes(rest + line)] if (rest + line).strip() else []
            rest.clear()
        rest += tail
        if len(rest) > LONGEST_LINE_BYTES:
            raise ValueError(f"a line of more than {LONGEST_LINE_BYTES // 2**20} MiB")
    if rest.strip():
        yield bytes(rest)


class _Traced(httpx.HTTPTransport):
    def __init__(self, wire: Wire, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "trace": self._wire.note}
        return super().handle_request(request)


class Watch:
    """Cuts `wire` once `stop` is set, or once `overdue` says why the call has to end."""

    def __init__(self, wire: Wire, stop: Stop, overdue: Callable[[], str]) -> None:
        self._wire, self._stop, self._overdue = wire, stop, overdue
        self._over = threading.Event()
        self.why = ""
        """Why the call was ended; empty where it was not, or by `stop`."""

    def __enter__(self) -> Watch:
        threading.Thread(target=self._watch, name="ollama-watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()  # the thread ends by itself within POLL_S: joining would cost that time

    def _watch(self) -> None:
        while not self._over.is_set():
            if self._stop.wait(POLL_S):
                self._wire.cut()
                self._over.wait(POLL_S)  # again, if the connection was only being opened
            elif (why := self._overdue()) and not self._over.is_set():
                self.why = why
                self._wire.cut()
