"""Where an Ollama listens, read the way Ollama itself reads OLLAMA_HOST.

An address may hold a password by mistake. So a message names the host at most, once it is known to
be nothing but a host, and never repeats the text that it complains of.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.errors import UserError

DEFAULT_PORT = 11434
SCHEME_PORTS = {"http": 80, "https": 443}
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""A server may listen everywhere; a client needs one place to go."""
MEND = "write host, host:port or http://host:port, in engine.host or in OLLAMA_HOST"

_HOST = re.compile(r"[\w.-]{1,253}")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_PATH = re.compile(r"[A-Za-z0-9_.~/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address of an Ollama that can be connected to."""

    scheme: str
    host: str
    """A name, or an IP address without brackets."""
    port: int
    path: str = ""
    """Empty, or with a slash in front: of an Ollama behind a proxy."""
    source: str = "OLLAMA_HOST"
    """Where it was written: `OLLAMA_HOST` or `engine.host`."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.place}{self.path}"

    @property
    def place(self) -> str:
        """Host and port, as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def address(text: str | None, environment: Mapping[str, str]) -> str:
    """Return the base URL of `text`, else of OLLAMA_HOST, else of Ollama's default; UserError."""
    return parse(text, environment).url


def parse(text: str | None, environment: Mapping[str, str], *, source: str = "") -> Address:
    """Return the address in `text`, else in OLLAMA_HOST, else Ollama's own default; UserError.

    `source`: where `text` was written; empty: in `engine.host`.
    """
    source = source or ("engine.host" if text else "OLLAMA_HOST")
    given = (text or environment.get("OLLAMA_HOST", "")).strip().strip("\"'").strip()
    scheme, has_scheme, rest = given.partition("://")
    scheme, rest = (scheme.lower(), rest) if has_scheme else ("http", given)
    if scheme not in SCHEME_PORTS:
        raise _unreadable(source, "begins with neither http:// nor https://")
    place, _, path = rest.partition("/")
    if "@" in rest:
        raise _unreadable(source, "holds a user or a password, which Ollama does not take")
    if not _PATH.fullmatch(path):
        raise _unreadable(source, "has a path with characters that no path of an Ollama has")
    host, port = _host_and_port(place, source)
    if port is None:
        port = SCHEME_PORTS[scheme] if has_scheme else DEFAULT_PORT
    tail = f"/{path.strip('/')}" if path.strip("/") else ""
    return Address(
        scheme=scheme, host=LOOPBACK.get(host, host), port=port, path=tail, source=source
    )


def _host_and_port(place: str, source: str) -> tuple[str, int | None]:
    """Host without brackets; an IPv6 address has colons of its own."""
    bracketed = _BRACKETED.fullmatch(place)
    if bracketed:
        return _ipv6(bracketed[1], source), _port(bracketed[2] or "", source)
    if place.count(":") > 1:
        return _ipv6(place, source), None
    host, _, port = place.partition(":")
    if host and not _HOST.fullmatch(host):
        raise _unreadable(source, "has a host with characters that no host name has")
    return host, _port(port, source)


def _port(text: str, source: str) -> int | None:
    """None where none is given: Ollama takes a colon with nothing behind it as none, too."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise _unreadable(source, "has a port that is no number from 1 to 65535")
    return int(text)


def _ipv6(text: str, source: str) -> str:
    """Return the address with its zone, which a URL writes behind %25 (RFC 6874)."""
    host, percent, zone = text.partition("%")
    if zone.startswith("25") and len(zone) > 2:
        zone = zone[2:]
    if not _is_ipv6(host) or (percent and not _ZONE.fullmatch(zone)):
        raise _unreadable(source, "has colons, and is no IPv6 address like [fd00::7]:11434")
    return f"{host}%{zone}" if percent else host


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _unreadable(source: str, why: str) -> UserError:
    usual = source in ("engine.host", "OLLAMA_HOST")
    hint = MEND if usual else "such as http://gpu-box:11434"
    return UserError(f"{source} is no address of an Ollama: it {why}", hint)
