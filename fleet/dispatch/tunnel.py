"""Reach the head from a laptop: an SSH tunnel, and the fleet's token."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fleet.dispatch.access import read_token
from fleet.errors import FleetUnreachable, UserError

TUNNEL_S = 20.0
TOKEN_S = 30.0
POLL_S = 0.1
TOKEN_FILE = "FLEET_TOKEN_FILE"


@contextmanager
def tunnel(destination: str, remote_port: int) -> Iterator[int]:
    """Yield a local port that leads to the head's loopback inside the block.

    `destination`: in ssh's form. Raises FleetUnreachable with ssh's own message.
    """
    local = _free_port()
    forward = f"127.0.0.1:{local}:127.0.0.1:{remote_port}"
    argv = [_ssh(), "-N", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]
    argv += ["-o", "ServerAliveInterval=15", "-L", forward, "--", destination]
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches fleet alone, which then closes the tunnel
    ) as process:
        try:
            _wait_until_open(process, local, destination)
            yield local
        finally:
            process.terminate()


def fetch_token(destination: str | None, config: Path, environment: Mapping[str, str]) -> str:
    """Return the token: from FLEET_TOKEN_FILE, else from `<config>/token`, else over ssh.

    Raises UserError if none of them has it, FleetUnreachable if ssh does not reach the head.
    """
    if named := environment.get(TOKEN_FILE):
        return read_token(Path(named))
    if (config / "token").exists() or destination is None:
        return read_token(config / "token")
    argv = [_ssh(), "-o", "BatchMode=yes", "--", destination, "fleet head --show-token"]
    try:
        ssh = subprocess.run(
            argv, capture_output=True, text=True, timeout=TOKEN_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise _unreachable(destination, f"no answer in {TOKEN_S:.0f} s") from None
    token = ssh.stdout.strip()
    if ssh.returncode == 0 and token:
        return token
    if ssh.returncode == 255:
        raise _unreachable(destination, ssh.stderr)
    what = f"{destination} did not give the fleet's token: {_last_line(ssh.stderr)}"
    raise UserError(what, f"put it into a private file and set {TOKEN_FILE}=PATH")


def _wait_until_open(process: subprocess.Popen[bytes], port: int, destination: str) -> None:
    until = time.monotonic() + TUNNEL_S
    while not _open(port):
        if process.poll() is not None:
            raise _unreachable(destination, _rest(process.stderr))
        if time.monotonic() > until:
            raise _unreachable(destination, f"no tunnel in {TUNNEL_S:.0f} s")
        time.sleep(POLL_S)


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ssh() -> str:
    path = shutil.which("ssh", path=os.environ.get("PATH"))
    if path is None:
        raise UserError("ssh is not installed here", "install OpenSSH's client")
    return path


def _rest(stream: IO[bytes] | None) -> str:
    return stream.read().decode(errors="replace") if stream else ""


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:300] or "it printed nothing"


def _unreachable(destination: str, why: str) -> FleetUnreachable:
    what = f"{destination}: ssh does not reach it ({_last_line(why)})"
    return FleetUnreachable(what, f"try by hand: ssh {destination} true")
