"""The way from a laptop to the head, with an ssh that is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.dispatch import tunnel as tunnels
from fleet.dispatch.access import save_token
from fleet.dispatch.tunnel import fetch_token, tunnel
from fleet.errors import FleetUnreachable, UserError

SECRET = "0123456789abcdef" * 4


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called ssh whose body a test writes; it is the only one found."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


def _writes(program: Path, body: str) -> None:
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_ssh_in_its_own_words_when_it_does_not_get_there(ssh: Path) -> None:
    _writes(ssh, "echo 'ssh: Could not resolve hostname nowhere' >&2; exit 255")
    match = r"nowhere: ssh does not reach it \(ssh: Could not resolve hostname nowhere\)"
    with pytest.raises(FleetUnreachable, match=match), tunnel("nowhere", 8265):
        pytest.fail("there is no tunnel")


def test_a_tunnel_that_never_opens_ends_in_time(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _writes(ssh, "exec sleep 60")
    monkeypatch.setattr(tunnels, "TUNNEL_S", 0.3)
    with pytest.raises(FleetUnreachable, match="no tunnel in"), tunnel("slow", 8265):
        pytest.fail("there is no tunnel")


def test_ssh_never_asks_and_takes_no_option_for_a_host(ssh: Path, tmp_path: Path) -> None:
    _writes(ssh, f'echo "$@" > {tmp_path}/said; exit 255')
    with pytest.raises(FleetUnreachable), tunnel("-oProxyCommand=evil", 8265):
        pytest.fail("there is no tunnel")
    said = (tmp_path / "said").read_text().strip()
    assert "BatchMode=yes" in said
    assert "ExitOnForwardFailure=yes" in said
    assert said.endswith(":127.0.0.1:8265 -- -oProxyCommand=evil")


def test_the_token_comes_from_the_named_file_first(tmp_path: Path) -> None:
    named = save_token(tmp_path / "named", "a" * 64)
    save_token(tmp_path / "config", "b" * 64)
    environment = {"FLEET_TOKEN_FILE": str(named)}
    assert fetch_token("head", tmp_path / "config", environment) == "a" * 64
    assert fetch_token("head", tmp_path / "config", {}) == "b" * 64


def test_the_head_is_asked_for_the_token_last(ssh: Path, tmp_path: Path) -> None:
    _writes(ssh, f'[ "$5" = "fleet head --show-token" ] && echo {SECRET}')
    assert fetch_token("head", tmp_path, {}) == SECRET


def test_a_head_without_fleet_is_named_with_another_way(ssh: Path, tmp_path: Path) -> None:
    _writes(ssh, "echo 'sh: fleet: not found' >&2; exit 127")
    with pytest.raises(UserError, match="fleet: not found") as caught:
        fetch_token("head", tmp_path, {})
    assert "FLEET_TOKEN_FILE=PATH" in caught.value.hint


def test_no_destination_and_no_token_is_the_users_matter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no fleet token here"):
        fetch_token(None, tmp_path, {})
