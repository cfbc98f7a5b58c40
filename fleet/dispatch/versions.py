"""Exchange and check versions before Ray starts.

Ray refuses another Python or Ray only after 20 s and in terms of its own. So `fleet head` answers
`GET /versions` on the port below the GCS with its versions, which are no secret. A joining machine
adds a nonce, and the answer then carries HMAC(token, nonce and content). This reveals a wrong
token at once, without the token ever crossing the wire, and proves the command that the answer
suggests. The same server gives new machines the files of `installer`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

import fleet
from fleet.dispatch.access import TOKEN_HINT
from fleet.dispatch.launch import Ports
from fleet.dispatch.wheel import code_digest
from fleet.errors import FleetUnreachable, UserError

RETRY_S = 0.5
REQUEST_S = 5.0


MOST_REQUESTS = 32
"""Requests served at once; further connections are closed, so that a flood is harmless."""
LONGEST_ANSWER = 65_536
"""Bytes that a joining machine reads of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    python: str
    ray: str
    fleet: str
    code: str = ""
    """Hash of the package's files, since a clone keeps its version from commit to commit."""

    def python_minor(self) -> str:
        """Return the minor version: `3.12`."""
        return ".".join(self.python.split(".")[:2])

    def show(self) -> str:
        """Return the versions in words."""
        return f"Python {self.python}, Ray {self.ray or 'missing'}, fleet {self.fleet}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAnswer:
    """A head's description of itself, proved by its token."""

    versions: Versions
    install: str
    """The line that installs what the head runs. Empty: it serves none."""


def installed() -> Versions:
    """Return the versions of this process; `ray` is empty if it is not installed."""
    try:
        ray = metadata.version("ray")
    except metadata.PackageNotFoundError:
        ray = ""
    return Versions(
        python=platform.python_version(), ray=ray, fleet=fleet.__version__, code=code_digest()
    )


def check_versions(own: Versions, heads: Versions, hint: str) -> UserError | None:
    """Return why this machine does not fit the head, with this hint; None if it fits."""
    pairs = (
        ("Python", own.python_minor(), heads.python_minor()),
        ("Ray", own.ray or "none", heads.ray),
        ("fleet", own.fleet, heads.fleet),
        ("code of fleet", own.code, heads.code),
    )
    unlike = [f"{what} {here} here, {other} there" for what, here, other in pairs if here != other]
    if not unlike:
        return None
    return UserError(f"this machine does not fit the head: {'; '.join(unlike)}", hint)


class _Server(ThreadingHTTPServer):
    """A server with a bounded number of threads; each read and write may take REQUEST_S."""

    daemon_threads = True
    request_queue_size = 2 * MOST_REQUESTS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = threading.Semaphore(MOST_REQUESTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that went away."""


class VersionsServer:
    """Answers `GET /versions`, and each offered path, in a thread until closed.

    Raises FleetUnreachable if it cannot listen.
    """

    def __init__(self, own_ip: str, port: int, versions: Versions, token: str) -> None:
        self._files: Mapping[str, bytes] = {}
        self._install = ""

        def answer(nonce: str) -> bytes:
            content = {**asdict(versions), "install": self._install}
            sealed = {"proof": proof(token, nonce, content)} if nonce else {}
            return json.dumps(content | sealed).encode()

        def body_of(target: str) -> bytes | None:
            parts = urlsplit(target)
            if parts.path == "/versions":
                return answer(parse_qs(parts.query).get("nonce", [""])[0])
            return self._files.get(parts.path)

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_S

            def do_GET(self) -> None:
                body = body_of(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                """Log nothing: standard error belongs to the user."""

        try:
            self._server = _Server((own_ip, port), Handler)
        except OSError as problem:
            what = f"{own_ip}:{port}: cannot listen there ({problem.strerror})"
            raise FleetUnreachable(what, "if another fleet head runs here: fleet leave") from None
        serve = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        serve.start()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._server.server_address[1])

    def offer(self, install: str, files: Mapping[str, bytes]) -> None:
        """Serve the files of a new machine; `install` is the line that fetches them."""
        self._install, self._files = install, files

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def proof(token: str, nonce: str, content: Mapping[str, str]) -> str:
    """Return the HMAC of an answer."""
    text = json.dumps([nonce, sorted(content.items())])
    return hmac.new(token.encode(), f"fleet-head-v2 {text}".encode(), hashlib.sha256).hexdigest()


def ask_head(ip: str, port: int, token: str, deadline_s: float = 20.0) -> HeadAnswer:
    """Return what the head runs; raise FleetUnreachable, or UserError if the tokens differ."""
    nonce = secrets.token_hex(16)
    content = _fetch(f"{ip}:{port}", nonce, deadline_s)
    fields = {name: value for name, value in content.items() if isinstance(value, str)}
    seal = fields.pop("proof", "")
    if not {"python", "ray", "fleet"} <= set(fields):
        raise _not_a_head(f"{ip}:{port}", "something else answers there")
    if not hmac.compare_digest(seal.encode(), proof(token, nonce, fields).encode()):
        raise UserError(f"the head at {ip} has another token", TOKEN_HINT)
    names = ("python", "ray", "fleet", "code")
    versions = Versions(**{name: fields.get(name, "") for name in names})
    return HeadAnswer(versions=versions, install=fields.get("install", ""))


def answers(ip: str, port: int, deadline_s: float) -> None:
    """Raise FleetUnreachable if no head answers, before the user looks for a token."""
    _fetch(f"{ip}:{port}", "", deadline_s)


def _fetch(head: str, nonce: str, deadline_s: float) -> dict[str, object]:
    url = f"http://{head}/versions"
    until = time.monotonic() + deadline_s
    timeout_s = min(REQUEST_S, deadline_s)
    with httpx.Client(trust_env=False, verify=False, timeout=timeout_s) as client:
        while True:
            try:
                with client.stream("GET", url, params={"nonce": nonce} if nonce else {}) as reply:
                    reply.raise_for_status()
                    content = json.loads(next(reply.iter_bytes(LONGEST_ANSWER), b""))
                return content if isinstance(content, dict) else {}
            except httpx.TransportError as problem:
                if time.monotonic() + RETRY_S > until:
                    why = re.sub(r"^\[Errno -?\d+\] ", "", str(problem))
                    raise _not_a_head(head, why or type(problem).__name__) from None
            except (httpx.HTTPStatusError, ValueError):
                raise _not_a_head(head, "something else answers there") from None
            time.sleep(RETRY_S)


def _not_a_head(where: str, why: str) -> FleetUnreachable:
    hint = f"on the head: fleet head    its firewall must let in TCP ports {Ports().shown()}"
    return FleetUnreachable(f"{where}: no fleet head answers ({why})", hint)
