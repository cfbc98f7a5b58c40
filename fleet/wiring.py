"""Names to things: which engine, which probes. Function-level imports live here."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.errors import EngineUnreachable, UserError
from fleet.folders import cache_folder, home_folder, permission_file, settings_folder, state_folder

if TYPE_CHECKING:  # who only wants a folder does not wait for the nouns and their validators
    from fleet.commands import SystemCommands
    from fleet.engines.simulated.host import SimulatedHost
    from fleet.model.experiment import EmbeddedEngine, OllamaEngine, SimulatedEngine, Telemetry
    from fleet.model.hours import Hours
    from fleet.model.machine import EngineFacts, EngineRestart, Fingerprint
    from fleet.model.script import MachineScript
    from fleet.owner.ownership import OwnersOllama
    from fleet.ports import (
        Clock,
        Commands,
        Engine,
        EngineHost,
        FactProbe,
        Say,
        Stop,
        TelemetryProbe,
    )
    from fleet.settings.life import TrialSettings
    from fleet.settings.simulated import ScriptedLimit
    from fleet.telemetry.sampler import Sampler

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
    settings: TrialSettings
    telemetry: Callable[[Telemetry], Sequence[TelemetryProbe]]
    restart: Callable[[Engine], Engine] | None = None
    """Gives the engine to go on with; None: fleet may not restart this one."""
    begin: Callable[[Engine, str], None] | None = None
    """Tells the engine which attempt begins; only a simulated one asks."""
    restart_words: Callable[[], EngineRestart] | None = None
    """What `restart` would do now, or why it may not; None: the engine is fleet's own."""
    allowed: frozenset[str] = frozenset()
    """What the owner allows here, as `fleet join --allow` was told when this was made."""
    hours: Callable[[], Hours | None] = lambda: None
    """Within which trials may begin, at this moment; None: at any."""
    refusal: str = ""
    """Why nothing may be measured here at all."""
    wrong_address: UserError | None = None
    """Why the address that is set for the engine is not that of an engine here."""
    news: Callable[[], Sequence[str]] = tuple
    """What was done to the owner's Ollama since the last call, in words."""


def sampler(node: Node, clock: Clock, stop: Stop) -> Sampler:
    """What reads this machine while trials run; its probes are looked for at the first."""
    from fleet.telemetry.sampler import Sampler

    return Sampler(node.telemetry, clock, stop)


def node(spec: WorkerSpec, state: Path) -> Node:
    from fleet.model.experiment import SimulatedEngine

    if isinstance(spec.engine, SimulatedEngine):
        return _simulated_node(spec.engine, spec.name)
    return _real_node(spec, state)


def _simulated_node(engine: SimulatedEngine, name: str) -> Node:
    from fleet.clock import SystemClock
    from fleet.engines.simulated.host import SimulatedHost
    from fleet.fingerprint import assemble
    from fleet.fingerprint.simulated import HeatProbe, ScriptedProbe
    from fleet.settings.simulated import ScriptedLimit

    script = engine.machines.get(name)
    if script is None:
        known = ", ".join(engine.machines)
        raise UserError(f"no scripted machine is called {name!r}", f"the scripts are: {known}")
    machine_id = assemble.machine_id(f"simulated {name}", None)
    limit = ScriptedLimit(script, state_folder() / "simulated" / machine_id / "wired_limit_mb")
    host = SimulatedHost(limit.script_now, name, SystemClock())
    probes: list[FactProbe] = [ScriptedProbe(script, limit.reading)]
    if script.throttle is not None:
        probes.append(HeatProbe(host.thermal_class))
    return Node(
        machine_id=machine_id,
        name=name,
        look=lambda: assemble.fingerprint(probes),
        make_engine=host.start_owners,
        telemetry=lambda _: _simulated_telemetry(script, host),
        restart=host.restart_owners,
        begin=host.begin,
        settings=_simulated_settings(script, limit, host, machine_id),
    )


def _simulated_telemetry(script: MachineScript, host: SimulatedHost) -> list[TelemetryProbe]:
    """A scripted machine has what its script says; the host it runs on is not it."""
    from fleet.clock import SystemClock
    from fleet.telemetry.replay import Replay, samples
    from fleet.telemetry.simulated import ScriptedPower

    power = script.power
    meter = [] if power is None else [ScriptedPower(host.power, power.scope)]
    return [*meter, Replay(samples(script.recorded), SystemClock())]


def _simulated_settings(
    script: MachineScript, limit: ScriptedLimit, host: SimulatedHost, machine_id: str
) -> TrialSettings:
    from fleet.settings.journal import Journal
    from fleet.settings.life import TrialSettings

    return TrialSettings(
        limit=limit if script.os == "darwin" else None,
        host=host,
        journal=Journal(settings_folder(), machine_id),
        boot_unix_s=lambda: None,  # its limit is a file, which no start of the system forgets
    )


def _real_telemetry(asked: Telemetry) -> Sequence[TelemetryProbe]:
    from fleet.clock import SystemClock
    from fleet.commands import SystemCommands
    from fleet.telemetry import amd, apple, host, nvidia

    if sys.platform == "darwin":
        return [host.MacHost(SystemCommands()), *apple.apple_probes(asked, SystemClock())]
    return [host.LinuxHost(), host.Rapl(), *nvidia.nvidia_probes(), *amd.amd_probes()]


def _real_node(spec: WorkerSpec, state: Path) -> Node:
    from fleet.commands import Remembering, SystemCommands
    from fleet.fingerprint import assemble
    from fleet.model.experiment import OllamaEngine
    from fleet.owner import ownership

    commands = SystemCommands()
    seen = Remembering(commands)
    platform, _ = assemble.platform_id(commands, state)
    own_id = assemble.machine_id(platform, None)
    permission = permission_file(own_id)
    allowed, refusal = ownership.permitted(permission)
    url, wrong_address = ollama_address(spec.engine)
    owners = ownership.OwnersOllama(url, commands, permission)
    servers = owners.servers if isinstance(spec.engine, OllamaEngine) else lambda: None
    probes = [*host_probes(seen, servers), _engine_probe(seen, spec.engine, owners)]
    restart, words = _restart_of(spec.engine, commands, owners)
    news: list[str] = []
    return Node(
        machine_id=assemble.machine_id(platform, spec.join_name),
        name=spec.name or host_name(),
        look=lambda: assemble.fingerprint(probes),
        make_engine=lambda: _real_engine(spec.engine),
        telemetry=_real_telemetry,
        restart=restart,
        restart_words=words,
        settings=_real_settings(spec.engine, commands, own_id, news.append),
        allowed=allowed.kinds,
        hours=ownership.hours_now(permission, allowed.hours),
        refusal=refusal,
        wrong_address=wrong_address,
        news=lambda: [news.pop(0) for _ in tuple(news)],
    )


def _real_settings(
    engine: EngineSpec, commands: SystemCommands, platform: str, say: Say | None = None
) -> TrialSettings:
    """`platform` tells machines apart that share a home, whatever name they joined with."""
    from fleet.model.experiment import OllamaEngine
    from fleet.settings.journal import Journal
    from fleet.settings.life import TrialSettings
    from fleet.settings.wired_limit import WiredLimit, boot_unix_s

    mac = commands.run(["uname", "-s"]).stdout.strip() == "Darwin"
    return TrialSettings(
        limit=WiredLimit(commands) if mac else None,
        host=_own_servers(engine, platform, say) if isinstance(engine, OllamaEngine) else None,
        journal=Journal(settings_folder(), platform),
        boot_unix_s=lambda: boot_unix_s(commands),
    )


def settings_here() -> tuple[str, TrialSettings]:
    """(machine id, what can be changed on this machine), whatever engine runs on it."""
    from fleet.commands import SystemCommands
    from fleet.model.experiment import OllamaEngine

    machine_id = _id_here()
    return machine_id, _real_settings(OllamaEngine(kind="ollama"), SystemCommands(), machine_id)


def permission_here() -> Path:
    """File in which it is kept what fleet may do on this machine."""
    return permission_file(_id_here())


def _id_here() -> str:
    """Whatever name it joined with."""
    from fleet.commands import SystemCommands
    from fleet.fingerprint import assemble

    platform, _ = assemble.platform_id(SystemCommands(), home_folder(None))
    return assemble.machine_id(platform, None)


def helper_file() -> Path:
    from fleet.settings import wired_limit

    return wired_limit.HELPER


def _own_servers(engine: OllamaEngine, platform: str, say: Say | None) -> EngineHost:
    from fleet.clock import SystemClock
    from fleet.engines.ollama import Ollama
    from fleet.owner.ownership import own_servers

    owners = Ollama(ollama_address(engine)[0], clock=SystemClock())
    log = settings_folder() / f"{platform}.ollama.log"
    return own_servers(owners, log, permission_file(platform), say)


def _restart_of(
    spec: EngineSpec, commands: SystemCommands, owners: OwnersOllama
) -> tuple[Callable[[Engine], Engine], Callable[[], EngineRestart] | None]:
    """The engine in this process is fleet's own; Ollama is the user's, and so is its restart."""
    from fleet.clock import SystemClock
    from fleet.engines.ollama.restart import restart
    from fleet.model.experiment import EmbeddedEngine, OllamaEngine

    if isinstance(spec, EmbeddedEngine):

        def made_anew(engine: Engine) -> Engine:
            engine.close()
            return _real_engine(spec)

        return made_anew, None
    if isinstance(spec, OllamaEngine) and spec.restart:
        argv, (url, _) = spec.restart, ollama_address(spec)
        return lambda engine: restart(engine, argv, url, commands, SystemClock()), None
    return owners.restart, owners.restart_words


def host_probes(
    commands: Commands, servers: Callable[[], Collection[int] | None] = tuple
) -> list[FactProbe]:
    """All that can look at a machine of any kind; each knows whether it has something to see.

    `servers`: processes of the engine that is measured, as for `OwnProcesses`.
    """
    from fleet.fingerprint.amd import AmdProbe
    from fleet.fingerprint.apple import AppleProbe
    from fleet.fingerprint.gpu_holders import OwnProcesses
    from fleet.fingerprint.host import HostProbe
    from fleet.fingerprint.load import LoadProbe
    from fleet.fingerprint.nvidia import NvidiaProbe

    processes = OwnProcesses(commands, os.getpid(), servers)
    return [
        HostProbe(commands),
        AppleProbe(commands),
        NvidiaProbe(commands, processes),
        AmdProbe(commands, processes),
        LoadProbe(commands, os.getpid(), time.sleep),
    ]


def _engine_probe(commands: Commands, engine: EngineSpec, owners: OwnersOllama) -> FactProbe:
    """How the engine is run is looked at once: a restart asks it anew."""
    from fleet.fingerprint.engine import EngineProbe

    def told() -> EngineFacts:
        return _real_engine(engine).facts()

    mac = commands.run(["uname", "-s"]).stdout.strip() == "Darwin"
    return EngineProbe(
        commands,
        told,
        is_its=owners.is_its,
        home=Path.home(),
        system="darwin" if mac else sys.platform,
        run_as=cache(owners.run_as),
    )


def _real_engine(spec: EngineSpec) -> Engine:
    from fleet.clock import SystemClock
    from fleet.model.experiment import EmbeddedEngine

    if isinstance(spec, EmbeddedEngine):
        from fleet.engines.embedded import Embedded

        return Embedded(cache_folder() / "models", clock=SystemClock())
    from fleet.engines.ollama import Ollama

    url, wrong_address = ollama_address(spec)
    if wrong_address is not None:
        raise EngineUnreachable(wrong_address.what, wrong_address.hint)
    return Ollama(url, clock=SystemClock())


def ollama_address(spec: EngineSpec) -> tuple[str, UserError | None]:
    """Base URL of the Ollama of this machine; or an empty text, and what is wrong with the address
    that is set for it. Other kinds of engine have neither."""
    from fleet.model.experiment import OllamaEngine

    if not isinstance(spec, OllamaEngine):
        return "", None
    return _judged_address(spec.host, os.environ.get("OLLAMA_HOST", ""))


@cache
def _judged_address(host: str | None, variable: str) -> tuple[str, UserError | None]:
    """A name service that hangs is waited for once in a process."""
    from fleet.engines.ollama import local_address

    try:
        return local_address(host, {"OLLAMA_HOST": variable}), None
    except UserError as problem:
        return "", problem


def host_name() -> str:
    """The host's short name: a label, never an identity."""
    return socket.gethostname().split(".")[0]
