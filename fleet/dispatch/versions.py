"""Who fits whom: versions told and checked before Ray starts.

Ray refuses another Python or Ray only after 20 s and in its own words, so `fleet head` answers
`GET /versions` on the port below the GCS with its three versions, which are no secret. A joiner
adds a nonce; the answer then carries HMAC(token, nonce), so that a wrong token is known at once
as well, without the token ever crossing the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import platform
import secrets
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from urllib.parse import parse_qs, urlsplit

import httpx

import fleet
from fleet.dispatch.access import TOKEN_MEND
from fleet.errors import FleetUnreachable, UserError

RETRY_S = 0.5
REQUEST_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    python: str
    ray: str
    fleet: str

    def python_minor(self) -> str:
        return ".".join(self.python.split(".")[:2])

    def show(self) -> str:
        return f"Python {self.python}, Ray {self.ray or 'missing'}, fleet {self.fleet}"


def installed() -> Versions:
    """Versions of this process; `ray` empty where it is not installed."""
    try:
        ray = metadata.version("ray")
    except metadata.PackageNotFoundError:
        ray = ""
    return Versions(python=platform.python_version(), ray=ray, fleet=fleet.__version__)


def check_versions(mine: Versions, heads: Versions) -> UserError | None:
    """What keeps this machine out of the fleet, with the line that mends it; None if it fits."""
    pairs = (
        ("Python", mine.python_minor(), heads.python_minor()),
        ("Ray", mine.ray or "none", heads.ray),
        ("fleet", mine.fleet, heads.fleet),
    )
    unlike = [f"{what} {own} here, {other} there" for what, own, other in pairs if own != other]
    if not unlike:
        return None
    return UserError(
        f"this machine does not fit the head: {'; '.join(unlike)}", install_line(heads)
    )


def install_line(heads: Versions) -> str:
    """What to paste on a machine that shall join."""
    wanted = f"'ollama-fleet[node]=={heads.fleet}'"
    return f"uv tool install --force --python {heads.python_minor()} {wanted}"


class VersionsServer:
    """Answers `GET /versions` in a thread of the head's process until closed."""

    def __init__(self, own_ip: str, port: int, versions: Versions, token: str) -> None:
        def answer(nonce: str) -> bytes:
            content: dict[str, str] = asdict(versions)
            if nonce:
                content["proof"] = proof(token, nonce)
            return json.dumps(content).encode()

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_S

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                found = parts.path == "/versions"
                body = answer(parse_qs(parts.query).get("nonce", [""])[0]) if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: standard error belongs to the user."""

        try:
            self._server = ThreadingHTTPServer((own_ip, port), Handler)
        except OSError as problem:
            what = f"{own_ip}:{port}: cannot listen there ({problem.strerror})"
            raise FleetUnreachable(what, "another fleet head? fleet leave ends it") from None
        self._server.daemon_threads = True
        serve = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        serve.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def proof(token: str, nonce: str) -> str:
    return hmac.new(token.encode(), f"fleet-head-v1 {nonce}".encode(), hashlib.sha256).hexdigest()


def ask_versions(ip: str, port: int, token: str, deadline_s: float = 20.0) -> Versions:
    """What the head runs. Raises FleetUnreachable, and UserError where the tokens differ."""
    nonce = secrets.token_hex(16)
    content = _fetch(f"http://{ip}:{port}/versions", nonce, deadline_s)
    try:
        versions = Versions(**{name: str(content[name]) for name in ("python", "ray", "fleet")})
    except (KeyError, TypeError):
        raise _not_a_head(f"{ip}:{port}", "something else answers there") from None
    if not hmac.compare_digest(str(content.get("proof", "")), proof(token, nonce)):
        what = f"{ip}:{port}: this head has another token"
        raise UserError(what, TOKEN_MEND)
    return versions


def _fetch(url: str, nonce: str, deadline_s: float) -> dict[str, object]:
    until = time.monotonic() + deadline_s
    timeout_s = min(REQUEST_S, deadline_s)
    with httpx.Client(trust_env=False, verify=False, timeout=timeout_s) as client:
        while True:
            try:
                reply = client.get(url, params={"nonce": nonce})
                reply.raise_for_status()
                content = reply.json()
                return content if isinstance(content, dict) else {}
            except httpx.TransportError as problem:
                if time.monotonic() + RETRY_S > until:
                    raise _not_a_head(url, str(problem) or type(problem).__name__) from None
            except (httpx.HTTPStatusError, ValueError):
                raise _not_a_head(url, "something else answers there") from None
            time.sleep(RETRY_S)


def _not_a_head(where: str, why: str) -> FleetUnreachable:
    mend = "on the head: fleet head; then see that its firewall lets this machine in"
    return FleetUnreachable(f"{where}: no head of a fleet answers ({why})", mend)
