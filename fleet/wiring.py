"""Names to things: which engine, which probes, which folders. Function-level imports live here."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import UserError

if TYPE_CHECKING:  # who only wants a folder does not wait for the nouns and their validators
    from fleet.commands import SystemCommands
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


def node(spec: WorkerSpec, state: Path) -> Node:
    from fleet.model.experiment import SimulatedEngine

    if isinstance(spec.engine, SimulatedEngine):
        return _simulated_node(spec.engine, spec.name)
    return _real_node(spec, state)


def _simulated_node(engine: SimulatedEngine, name: str) -> Node:
    from fleet.fingerprint import assemble
    from fleet.fingerprint.simulated import ScriptedProbe

    script = engine.machines.get(name)
    if script is None:
        known = ", ".join(engine.machines)
        raise UserError(f"no scripted machine is called {name!r}", f"the scripts are: {known}")
    probe = ScriptedProbe(script)
    return Node(
        machine_id=assemble.machine_id(f"simulated {name}", None),
        name=name,
        look=lambda: assemble.fingerprint([probe]),
        make_engine=lambda: _simulated_engine(script),
    )


def _simulated_engine(script: MachineScript) -> Engine:
    from fleet.clock import SystemClock
    from fleet.engines.simulated import Simulated

    return Simulated(script, clock=SystemClock())


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
    )


def _probes(commands: SystemCommands) -> list[FactProbe]:
    from fleet.fingerprint.apple import AppleProbe
    from fleet.fingerprint.host import HostProbe
    from fleet.fingerprint.nvidia import NvidiaProbe

    probes: list[FactProbe] = [HostProbe(commands), AppleProbe(commands), NvidiaProbe(commands)]
    return [probe for probe in probes if probe.available()]


def _real_engine(spec: EngineSpec) -> Engine:
    from fleet.clock import SystemClock
    from fleet.model.experiment import EmbeddedEngine, OllamaEngine

    if isinstance(spec, EmbeddedEngine):
        from fleet.engines.embedded import Embedded

        return Embedded(cache_folder() / "models", clock=SystemClock())
    from fleet.engines.ollama import Ollama, address

    host = spec.host if isinstance(spec, OllamaEngine) else None
    return Ollama(address(host, os.environ), clock=SystemClock())


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
