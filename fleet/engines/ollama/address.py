"""Where an Ollama listens, read the way Ollama itself reads OLLAMA_HOST."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from fleet.errors import UserError

DEFAULT_PORT = 11434
SCHEME_PORTS = {"http": 80, "https": 443}
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""A server may listen everywhere; a client needs one place to go."""


def address(text: str | None, environment: Mapping[str, str]) -> str:
    """Base URL of `text`, else of OLLAMA_HOST, else of Ollama's own default; UserError."""
    given = (text or environment.get("OLLAMA_HOST", "")).strip().strip("\"'")
    scheme, has_scheme, rest = given.rpartition("://")
    scheme = scheme.lower() if has_scheme else "http"
    if scheme not in SCHEME_PORTS:
        raise _unreadable(given)
    place, _, path = rest.partition("/")
    host, port = _host_and_port(place, given)
    if port is None:
        port = SCHEME_PORTS[scheme] if has_scheme else DEFAULT_PORT
    tail = f"/{path.strip('/')}" if path.strip("/") else ""
    return f"{scheme}://{_bracketed(LOOPBACK.get(host, host))}:{port}{tail}"


def _host_and_port(place: str, given: str) -> tuple[str, int | None]:
    """Host without brackets; an IPv6 address has colons of its own."""
    if _is_ipv6(place.strip("[]")):
        return place.strip("[]"), None
    host, colon, port = place.rpartition(":")
    if not colon:
        return place, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise _unreadable(given)
    host = host.removeprefix("[").removesuffix("]")
    if ":" in host and not _is_ipv6(host):
        raise _unreadable(given)
    return host, int(port)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unreadable(given: str) -> UserError:
    return UserError(
        f"{given!r} is no address of an Ollama",
        "write host, host:port or http://host:port, in engine.host or in OLLAMA_HOST",
    )
