"""Restarts the user's Ollama by a command that does so, and sees that it really happened."""

from __future__ import annotations

import shlex
import socket
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from fleet.engines.incoming import text
from fleet.errors import EngineNotRestarted, EngineUnreachable
from fleet.ports import Clock, Commands, Engine
from fleet.units import NS_PER_S

COMMAND_S = 60.0
ANSWERS_S = 60.0
POLL_S = 0.1
CONNECT_S = 2.0

NEVER = threading.Event()
"""A stop that nobody sets."""


# parameters: the engine and its address, the command and its words, and two ports
def restart(
    engine: Engine,
    argv: Sequence[str],
    base_url: str,
    commands: Commands,
    clock: Clock,
    words: str = "",
) -> Engine:
    """Return when the old process has gone and a new one answers; else EngineNotRestarted.

    A connection opened before tells the two apart: it ends with the process that holds it.
    `words`: what is said of the command, where it is too long to be read.
    """
    old, words = _connected(base_url), words or shlex.join(argv)
    try:
        done = commands.run(argv, COMMAND_S)
        if not done.ok:
            raise EngineNotRestarted(
                f"{words}: {_why(done.code, done.stderr)}",
                "run it by hand; a command that asks for a password cannot be used",
            )
        _wait(engine, old, words, base_url, clock)
    finally:
        if old is not None:
            old.close()
    return engine


def _wait(
    engine: Engine, old: socket.socket | None, words: str, base_url: str, clock: Clock
) -> None:
    until_ns = clock.monotonic_ns() + round(ANSWERS_S * NS_PER_S)
    while not (gone := old is None or _hung_up(old)) or not _answers(engine):
        if clock.monotonic_ns() > until_ns:
            what = "does not answer after" if gone else "is still the same process after"
            raise EngineNotRestarted(
                f"Ollama at {base_url} {what} {words}", "see: ollama ps, or its log"
            )
        clock.sleep(POLL_S, NEVER)


def _answers(engine: Engine) -> bool:
    try:
        engine.facts()
    except EngineUnreachable:
        return False
    return True


def _connected(base_url: str) -> socket.socket | None:
    """None where nothing listens: then whoever answers later is new."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        connection = socket.create_connection((parts.hostname or "127.0.0.1", port), CONNECT_S)
    except OSError:
        return None
    connection.setblocking(False)
    return connection


def _hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _why(code: int | None, stderr: str) -> str:
    line = text(stderr.strip().rpartition("\n")[2])
    how = "could not be started, or did not end" if code is None else f"exit code {code}"
    return f"{how}: {line}" if line else how
