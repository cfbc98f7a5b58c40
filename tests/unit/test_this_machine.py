"""Whether an Ollama is this machine's own: loopback and own interfaces are, all others are not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import pytest

from fleet.engines.ollama import local_address, this_machine
from fleet.engines.ollama.address import parse
from fleet.engines.ollama.this_machine import is_own, refuse_another_machine, resolve_host
from fleet.errors import UserError

ANOTHER, ANOTHER_6 = "240.0.0.1", "100::1"
"""No machine has these."""


def own_interface() -> str:
    """An address of this machine that is no loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ANOTHER, 9))
        except OSError:
            try:
                probe.connect(("198.51.100.1", 9))
            except OSError:
                pytest.skip("this machine has no network interface but the loopback")
        return str(probe.getsockname()[0])


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.3.2.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
)
def test_the_loopback_is_this_machine(text: str) -> None:
    assert is_own(text)


def test_an_address_of_an_interface_is_this_machine() -> None:
    here = own_interface()
    assert is_own(here)
    assert is_own(f"::ffff:{here}")


@pytest.mark.parametrize(
    "text", [ANOTHER, ANOTHER_6, "::ffff:240.0.0.1", "fe80::1%no-such-zone", "224.0.0.1", "ff02::1"]
)
def test_all_others_are_not(text: str) -> None:
    assert not is_own(text)


def test_a_system_that_binds_to_any_address_does_not_make_others_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.socket.bind", lambda *_: None)
    assert is_own(own_interface())
    assert not is_own(ANOTHER)


@pytest.mark.parametrize("text", ["", ":9000", "0.0.0.0", "[::]:9000", "localhost:9000", "127.1"])
def test_an_ollama_on_this_machine_is_measured(text: str) -> None:
    assert local_address(None, {"OLLAMA_HOST": text}).startswith("http://")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ANOTHER, "engine.host names 240.0.0.1:11434, which is another machine"),
        (f"http://{ANOTHER}/ollama", "engine.host names 240.0.0.1:80, which is another machine"),
        (f"[{ANOTHER_6}]:9", r"engine.host names \[100::1\]:9, which is another machine"),
    ],
)
def test_an_ollama_on_another_machine_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        local_address(text, {})
    assert "leave out engine.host" in caught.value.hint
    with pytest.raises(UserError, match="OLLAMA_HOST names") as caught:
        local_address(None, {"OLLAMA_HOST": text})
    assert "to measure this machine: unset OLLAMA_HOST; to measure" in caught.value.hint


@pytest.mark.parametrize(
    ("answers", "own"),
    [
        (["127.0.1.1"], True),
        (["::1", "127.0.0.1"], True),
        ([ANOTHER], False),
        (["127.0.0.1", ANOTHER], False),
        ([], False),
    ],
)
def test_a_name_is_own_where_all_its_addresses_are(answers: Sequence[str], own: bool) -> None:
    place = parse("studio", {})
    if own:
        refuse_another_machine(place, lambda host: answers)
        return
    with pytest.raises(UserError, match=r"host names studio:11434, which is another"):
        refuse_another_machine(place, lambda host: answers)


def test_a_name_that_nobody_knows_is_said() -> None:
    with pytest.raises(UserError, match=r"names the host no-such-host.invalid, which cannot be"):
        local_address("no-such-host.invalid", {})
    with pytest.raises(UserError, match=r"cannot be found: it is no host name"):
        local_address("a..b", {})


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(this_machine, "RESOLVE_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [over.wait(600)][:0])
    try:
        with pytest.raises(UserError, match="the name service did not answer within"):
            local_address("studio", {})
    finally:
        over.set()


def test_a_link_local_address_keeps_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::7", 0, 0, 2))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert resolve_host("studio") == ["fe80::7%2"]
