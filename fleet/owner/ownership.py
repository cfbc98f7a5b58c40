"""The Ollama of the owner of this machine, and what fleet may do with it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fleet.clock import SystemClock
from fleet.commands import SystemCommands
from fleet.engines.ollama import Ollama, address
from fleet.engines.ollama.own_server import OwnServers
from fleet.errors import EngineNotRestarted, UserError
from fleet.fingerprint.run_as import of_these, on_darwin, on_linux, servers
from fleet.model.hours import Hours
from fleet.model.machine import EngineRestart
from fleet.owner import allowed
from fleet.owner.allowed import RESTART_OLLAMA, Allowed
from fleet.owner.restart import Restart, restart_of, restart_owners, right_to
from fleet.ports import Engine, Say
from fleet.readers.run_as import RunAs

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ALLOW = f"fleet join --allow {RESTART_OLLAMA}"


class OwnersOllama:
    """The Ollama that answers at `base_url`, which fleet did not start."""

    def __init__(self, base_url: str, commands: SystemCommands, permission: Path) -> None:
        self._base_url = base_url
        self._commands = commands
        self._permission = permission

    def run_as(self) -> RunAs:
        """Find out how Ollama is run."""
        parts = urlsplit(self._base_url)
        if parts.hostname not in LOOPBACK:
            return RunAs(kind=None, why=f"{self._base_url} is not this machine's own loopback")
        if self._commands.run(["uname", "-s"]).stdout.strip() == "Darwin":
            return on_darwin(self._commands, parts.port or 80)
        return on_linux(self._commands, servers(self._commands), self.is_its)

    def servers(self) -> list[int]:
        """Return the process ids of the server that answers; empty if they are unknown."""
        if urlsplit(self._base_url).hostname not in LOOPBACK:
            return []
        server = of_these(servers(self._commands), self.is_its)
        return [] if server is None else [server.pid]

    def is_its(self, environment: Mapping[str, str]) -> bool:
        """Tell the server that listens at this address from others on the machine."""
        try:
            return address(None, environment) == self._base_url
        except UserError:
            return False

    def restart_words(self) -> EngineRestart:
        """Describe what a restart would do, or why there is none."""
        run_as = self.run_as()
        restart = self._restart_of(run_as)
        refusal = restart.refusal
        if not refusal and not may(self._permission):
            refusal = (
                f"it is yours ({run_as}), and fleet may not restart it; to allow this: {ALLOW}"
            )
        refusal = refusal or self._right_to(restart)
        return EngineRestart(how=restart.words, refusal=refusal)

    def restart(self, engine: Engine) -> Engine:
        """Restart Ollama if that is allowed now, since the permission may have been revoked."""
        if not may(self._permission):
            raise EngineNotRestarted("fleet may not restart the Ollama here", ALLOW)
        restart = self._restart_of(self.run_as())
        if why := restart.refusal or self._right_to(restart):
            raise EngineNotRestarted(f"Ollama at {self._base_url}: {why}", "")
        return restart_owners(engine, restart, self._base_url, self._commands, SystemClock())

    def _restart_of(self, run_as: RunAs) -> Restart:
        command = permitted(self._permission)[0].restart_command
        if command:
            return Restart(argv=command, words=shlex.join(command))
        return restart_of(run_as, os.getuid(), urlsplit(self._base_url).port or 80)

    def _right_to(self, restart: Restart) -> str:
        systemctl = shutil.which("systemctl") or "/usr/bin/systemctl"
        return right_to(restart, self._commands, systemctl, os.getuid())


def may(path: Path) -> bool:
    """Return whether fleet may now restart Ollama here and unload what others use."""
    return RESTART_OLLAMA in permitted(path)[0].kinds


def own_servers(owners: Ollama, log: Path, permission: Path, say: Say | None) -> OwnServers:
    """Return the servers that fleet starts beside the owner's Ollama.

    `say` reports each model that is unloaded; None: no model is unloaded.
    """

    def evict(model: str) -> bool:
        if say is None or not may(permission):
            return False
        say(f"unloads {model}, which others had in memory: {RESTART_OLLAMA} is allowed here")
        owners.unload(model)
        return True

    return OwnServers(
        os.environ,
        log,
        SystemClock(),
        owners.resident,
        evict,
        registered=lambda: permitted(permission)[0].programs,
    )


def permitted(path: Path) -> tuple[Allowed, str]:
    """Return what is allowed, and why that is unknown; then nothing is allowed."""
    try:
        return allowed.read(path), ""
    except UserError as problem:
        return Allowed(), str(problem)


def hours_now(path: Path, before: Hours | None) -> Callable[[], Hours | None]:
    """Return a reader of the hours, so that `fleet join` and `fleet leave` take effect at once."""

    def now() -> Hours | None:
        permission, problem = permitted(path)
        return before if problem else permission.hours

    return now
