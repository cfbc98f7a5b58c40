"""Whether an address is one of this machine's own, so that no other machine is measured as it.

What is measured is stored under the chip, the memory and the power of the machine that fleet runs
on. An Ollama on another machine must be measured by fleet there.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

from fleet.engines.ollama.address import Address, parse
from fleet.errors import UserError

RESOLVE_S = 3.0
"""For a name service to answer; one that hangs must not hold up a command."""

NOBODY = {socket.AF_INET: "240.0.0.1", socket.AF_INET6: "100::1"}
"""No machine has these: of a reserved range, and of one that is always discarded (RFC 6666)."""

Resolve = Callable[[str], Sequence[str]]
"""Every IP address of a host name; raises OSError."""


def local_address(text: str | None, environment: Mapping[str, str]) -> str:
    """Return the base URL of the Ollama of this machine, as `address` reads it.

    Raises UserError for what is no address, and for the address of another machine.
    """
    place = parse(text, environment)
    refuse_another_machine(place)
    return place.url


def refuse_another_machine(place: Address, resolve: Resolve | None = None) -> None:
    """Raise UserError, unless every IP address of the host is this machine's own."""
    if place.host == "localhost":
        return
    try:
        addresses = (resolve or resolve_host)(place.host)
    except OSError as problem:
        raise UserError(
            f"{place.source} names the host {place.host}, which cannot be found: "
            f"{problem.strerror or 'no answer'}",
            _hint(place),
        ) from None
    if not addresses or not all(map(is_own, addresses)):
        raise UserError(
            f"{place.source} names {place.place}, which is another machine: its speed would be "
            "stored as this one's",
            _hint(place),
        )


def is_own(text: str) -> bool:
    """Whether an IP address is a loopback address or one of this machine's interfaces.

    A socket can be bound to these addresses only. Where the system lets a socket be bound to any
    address, the address must be what the system would send from to it.
    """
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    address = address if mapped is None else mapped
    if address.is_loopback or address.is_unspecified:
        return True
    if address.is_multicast or not _binds(str(address)):
        return False
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    return not _binds(NOBODY[family]) or _sends_from(str(address)) == str(address)


def resolve_host(host: str) -> Sequence[str]:
    """Every IP address of a host, by the system's name service, which has three seconds."""
    if _is_ip(host):
        return [host]
    answers: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError:  # a label that is empty or too long
            answers.put(OSError(0, "it is no host name"))
        except OSError as problem:
            answers.put(problem)
        else:
            answers.put([_with_zone(*entry[4]) for entry in entries])

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=RESOLVE_S)
    except queue.Empty:
        raise OSError(0, f"the name service did not answer within {RESOLVE_S:.0f} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _with_zone(host: str | int, _port: object, _flow: object = 0, zone: object = 0) -> str:
    """Return the IP address in what `getaddrinfo` answers; a link-local one needs its zone."""
    return f"{host}%{zone}" if zone and "%" not in str(host) else str(host)


def _binds(text: str) -> bool:
    try:
        family, kind, _, _, target = _socket_address(text, 0)
        with socket.socket(family, kind) as probe:
            probe.bind(target)
    except OSError:
        return False
    return True


def _sends_from(text: str) -> str | None:
    """Return the address that the system would send from; nothing is sent."""
    try:
        family, _, _, _, target = _socket_address(text, 9)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _socket_address(text: str, port: int) -> tuple[int, int, int, str, tuple[object, ...]]:
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    entries = socket.getaddrinfo(text, port, type=socket.SOCK_STREAM, flags=numeric)
    return entries[0]


def _hint(place: Address) -> str:
    elsewhere = f"to measure {place.host}: run fleet on it, or join it there with fleet join HEAD"
    if place.source == "engine.host":
        return f"to measure this machine: leave out engine.host in the file; {elsewhere}"
    return f"to measure this machine: unset OLLAMA_HOST; {elsewhere}"
