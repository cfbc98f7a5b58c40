"""Names to things: which engine, which probes, which folders. Function-level imports live here."""

from __future__ import annotations

import os
import socket
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import UserError

if TYPE_CHECKING:  # who only wants a folder does not wait for the nouns and their validators
    from fleet.commands import SystemCommands
    from fleet.engines.simulated import Simulated
    from fleet.model.experiment import EmbeddedEngine, OllamaEngine, SimulatedEngine
    from fleet.model.machine import Fingerprint
    from fleet.model.script import MachineScript
    from fleet.ports import Engine, FactProbe

    EngineSpec = OllamaEngine | EmbeddedEngine | SimulatedEngine

OWN_HOME = ""
"""As `WorkerSpec.state`: the home of the user on the node itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """What makes a worker, on whatever machine it is made."""

    engine: EngineSpec
    name: str = ""
    """The machine's name; empty: the host's. A simulated machine is found by it."""
    join_name: str | None = None
    """The name given at `fleet join --name`: part of the machine's identity."""
    state: str
    """Folder for the node's spool and, where the system has none, its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine as its worker sees it."""

    machine_id: str
    name: str
    look: Callable[[], Fingerprint]
    make_engine: Callable[[], Engine]
    restart: Callable[[Engine], Engine] | None = None
    """Gives the engine to go on with; None: fleet may not restart this one."""
    begin: Callable[[Engine, str], None] | None = None
    """Tells the engine which attempt begins; only a simulated one asks."""


def node(spec: WorkerSpec, state: Path) -> Node:
    from fleet.model.experiment import SimulatedEngine

    if isinstance(spec.engine, SimulatedEngine):
        return _simulated_node(spec.engine, spec.name)
    return _real_node(spec, state)


def _simulated_node(engine: SimulatedEngine, name: str) -> Node:
    from fleet.fingerprint import assemble
    from fleet.fingerprint.simulated import HeatProbe, ScriptedProbe

    script = engine.machines.get(name)
    if script is None:
        known = ", ".join(engine.machines)
        raise UserError(f"no scripted machine is called {name!r}", f"the scripts are: {known}")
    server = _SimulatedServer(script, name)
    probes: list[FactProbe] = [ScriptedProbe(script)]
    if script.throttle is not None:
        probes.append(HeatProbe(server.thermal_class))
    return Node(
        machine_id=assemble.machine_id(f"simulated {name}", None),
        name=name,
        look=lambda: assemble.fingerprint(probes),
        make_engine=server.start,
        restart=server.restart,
        begin=server.begin,
    )


class _SimulatedServer:
    """The one server of a scripted machine; its probe and its worker ask the same one."""

    def __init__(self, script: MachineScript, name: str) -> None:
        self._script = script
        self._seed = zlib.crc32(name.encode())  # machines of one script differ in their noise
        self._engine: Simulated | None = None

    def start(self) -> Engine:
        from fleet.clock import SystemClock
        from fleet.engines.simulated import Simulated

        self._engine = Simulated(self._script, seed=self._seed, clock=SystemClock())
        return self._engine

    def restart(self, engine: Engine) -> Engine:
        if self._engine is not None:
            self._engine.restart()
        return engine

    def begin(self, engine: Engine, attempt_id: str) -> None:
        if self._engine is not None:
            self._engine.begin(attempt_id)

    def thermal_class(self) -> str | None:
        return None if self._engine is None else self._engine.thermal_class()


def _real_node(spec: WorkerSpec, state: Path) -> Node:
    from fleet.commands import SystemCommands
    from fleet.fingerprint import assemble

    commands = SystemCommands()
    platform, _ = assemble.platform_id(commands, state)
    probes = _probes(commands)
    return Node(
        machine_id=assemble.machine_id(platform, spec.join_name),
        name=spec.name or host_name(),
        look=lambda: assemble.fingerprint(probes),
        make_engine=lambda: _real_engine(spec.engine),
        restart=_restart_of(spec.engine, commands),
    )


def _restart_of(spec: EngineSpec, commands: SystemCommands) -> Callable[[Engine], Engine] | None:
    """The engine in this process is fleet's own; Ollama is the user's, and so is its command."""
    from fleet.clock import SystemClock
    from fleet.model.experiment import EmbeddedEngine, OllamaEngine

    if isinstance(spec, EmbeddedEngine):

        def made_anew(engine: Engine) -> Engine:
            engine.close()
            return _real_engine(spec)

        return made_anew
    if isinstance(spec, OllamaEngine) and spec.restart:
        from fleet.engines.ollama.restart import restart

        argv = spec.restart
        base_url = _ollama_address(spec)
        return lambda engine: restart(engine, argv, base_url, commands, SystemClock())
    return None


def _probes(commands: SystemCommands) -> list[FactProbe]:
    from fleet.fingerprint.apple import AppleProbe
    from fleet.fingerprint.host import HostProbe
    from fleet.fingerprint.nvidia import NvidiaProbe

    probes: list[FactProbe] = [HostProbe(commands), AppleProbe(commands), NvidiaProbe(commands)]
    return [probe for probe in probes if probe.available()]


def _real_engine(spec: EngineSpec) -> Engine:
    from fleet.clock import SystemClock
    from fleet.model.experiment import EmbeddedEngine

    if isinstance(spec, EmbeddedEngine):
        from fleet.engines.embedded import Embedded

        return Embedded(cache_folder() / "models", clock=SystemClock())
    from fleet.engines.ollama import Ollama

    return Ollama(_ollama_address(spec), clock=SystemClock())


def _ollama_address(spec: EngineSpec) -> str:
    from fleet.engines.ollama import address
    from fleet.model.experiment import OllamaEngine

    host = spec.host if isinstance(spec, OllamaEngine) else None
    return address(host, os.environ)


def host_name() -> str:
    """The host's short name: a label, never an identity."""
    return socket.gethostname().split(".")[0]


def home_folder(store: str | None) -> Path:
    """Where store, ledger and spool lie: --store, FLEET_STORE, else the per-user data folder."""
    chosen = store or os.environ.get("FLEET_STORE")
    return Path(chosen).expanduser().absolute() if chosen else _user_folder("data") / "fleet"


def results_folder(home: Path) -> Path:
    """Where the Parquet files and `views.sql` lie."""
    return home / "results"


def ledger_file(home: Path) -> Path:
    return home / "ledger.sqlite"


def cache_folder() -> Path:
    return _user_folder("cache") / "fleet"


def state_folder() -> Path:
    """What this machine keeps of its part in a fleet: the token, the head or node it runs."""
    chosen = os.environ.get("FLEET_STATE")
    return Path(chosen) if chosen else _user_folder("state") / "fleet"


def _user_folder(kind: str) -> Path:
    mac = {"data": "Application Support", "state": "Application Support", "cache": "Caches"}
    linux = {"data": ".local/share", "state": ".local/state", "cache": ".cache"}
    named = os.environ.get(f"XDG_{kind.upper()}_HOME")
    if named:
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / mac[kind]
    return Path.home() / linux[kind]
