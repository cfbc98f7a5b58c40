"""This machine as a worker and `fleet doctor` see it: its probes, its engine, its settings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.clock import SystemClock
from fleet.commands import Remembering, SystemCommands
from fleet.engines.embedded import Embedded
from fleet.engines.ollama import Ollama, local_address
from fleet.engines.ollama.model_files import files_of
from fleet.errors import EngineUnreachable, UserError
from fleet.fingerprint import assemble
from fleet.fingerprint.amd import AmdProbe
from fleet.fingerprint.apple import AppleProbe
from fleet.fingerprint.engine import EngineProbe
from fleet.fingerprint.gpu_holders import OwnProcesses
from fleet.fingerprint.host import HostProbe
from fleet.fingerprint.load import LoadProbe
from fleet.fingerprint.nvidia import NvidiaProbe
from fleet.folders import cache_folder, home_folder, permission_file, settings_folder
from fleet.model.experiment import EmbeddedEngine, OllamaEngine, Telemetry
from fleet.model.machine import EngineFacts, EngineRestart
from fleet.owner import ownership
from fleet.page_cache import forget_files
from fleet.ports import Commands, Engine, FactProbe, Say, TelemetryProbe
from fleet.settings.journal import Journal
from fleet.settings.life import TrialSettings
from fleet.settings.wired_limit import WiredLimit, boot_unix_s
from fleet.telemetry import amd, apple, host, nvidia
from fleet.wiring import host_name
from fleet.wiring.node import Node, WorkerSpec

if TYPE_CHECKING:
    from fleet.wiring.node import EngineSpec


def real_node(spec: WorkerSpec, state: Path) -> Node:
    """Return the machine that this process runs on."""
    commands = SystemCommands()
    remembering = Remembering(commands)
    platform, _ = assemble.platform_id(commands, state)
    own_id = assemble.machine_id(platform, None)
    permission = permission_file(own_id)
    allowed, refusal = ownership.permitted(permission)
    url, wrong_address = ollama_address(spec.engine)
    owners = ownership.OwnersOllama(url, commands, permission)
    servers = owners.servers if isinstance(spec.engine, OllamaEngine) else lambda: None
    probes = [
        *host_probes(remembering, servers),
        _engine_probe(remembering, spec.engine, owners),
    ]
    restart_engine, restart_words = _restart_of(spec.engine, commands, owners)
    news: list[str] = []
    return Node(
        machine_id=assemble.machine_id(platform, spec.join_name),
        name=spec.name or host_name(),
        look=lambda: assemble.fingerprint(probes),
        make_engine=lambda: _engine(spec.engine),
        telemetry=telemetry_probes,
        restart=restart_engine,
        restart_words=restart_words,
        settings=trial_settings(spec.engine, commands, own_id, news.append),
        allowed=allowed.kinds,
        hours=ownership.hours_now(permission, allowed.hours),
        refusal=refusal,
        wrong_address=wrong_address,
        forget_model=lambda model: forget_files(files_of(model, os.environ)),
        news=lambda: [news.pop(0) for _ in tuple(news)],
    )


def telemetry_probes(wanted: Telemetry) -> Sequence[TelemetryProbe]:
    """Return the probes of this system; each looks for its source at the first trial."""
    if sys.platform == "darwin":
        zeus = partial(import_module, "zeus_apple_silicon")
        return [host.MacHost(SystemCommands()), *apple.apple_probes(wanted, SystemClock(), zeus)]
    nvml = partial(import_module, "pynvml")
    return [host.LinuxHost(), host.Rapl(), *nvidia.nvidia_probes(nvml), *amd.amd_probes()]


def trial_settings(
    engine: EngineSpec, commands: SystemCommands, platform: str, say: Say | None = None
) -> TrialSettings:
    """Return what a trial may change here.

    `platform` tells machines apart that share a home, whatever name they joined with.
    """
    mac = commands.run(["uname", "-s"]).stdout.strip() == "Darwin"
    own_servers = None
    if isinstance(engine, OllamaEngine):
        owners = Ollama(ollama_address(engine)[0], clock=SystemClock())
        log = settings_folder() / f"{platform}.ollama.log"
        own_servers = ownership.own_servers(owners, log, permission_file(platform), say)
    return TrialSettings(
        limit=WiredLimit(commands) if mac else None,
        host=own_servers,
        journal=Journal(settings_folder(), platform),
        boot_unix_s=lambda: boot_unix_s(commands),
    )


def settings_here() -> tuple[str, TrialSettings]:
    """Return (machine id, what a trial may change on this machine), whatever engine runs on it."""
    machine_id = _id_here()
    return machine_id, trial_settings(OllamaEngine(kind="ollama"), SystemCommands(), machine_id)


def permission_here() -> Path:
    """Return the file that holds what fleet may do on this machine."""
    return permission_file(_id_here())


def _id_here() -> str:
    """Return this machine's id, whatever name it joined with."""
    platform, _ = assemble.platform_id(SystemCommands(), home_folder(None))
    return assemble.machine_id(platform, None)


def _restart_of(
    spec: EngineSpec, commands: SystemCommands, owners: ownership.OwnersOllama
) -> tuple[Callable[[Engine], Engine], Callable[[], EngineRestart] | None]:
    """Return how to restart the engine, and what says whether its owner allows that.

    An engine in this process is fleet's own; Ollama, and with it its restart, is the owner's.
    """
    if isinstance(spec, EmbeddedEngine):

        def make_anew(engine: Engine) -> Engine:
            engine.close()
            return _engine(spec)

        return make_anew, None
    return owners.restart, owners.restart_words


def host_probes(
    commands: Commands, servers: Callable[[], Collection[int] | None] = tuple
) -> list[FactProbe]:
    """Return every probe of a machine; each knows whether it applies to this one.

    `servers`: returns the processes of the engine that is measured, as for `OwnProcesses`.
    """
    processes = OwnProcesses(commands, os.getpid(), servers)
    return [
        HostProbe(commands),
        AppleProbe(commands),
        NvidiaProbe(commands, processes),
        AmdProbe(commands, processes),
        LoadProbe(commands, os.getpid(), time.sleep),
    ]


def _engine_probe(
    commands: Commands, engine: EngineSpec, owners: ownership.OwnersOllama
) -> FactProbe:
    """Return the probe of the engine; it looks once at how the engine is run."""

    def facts() -> EngineFacts:
        return _engine(engine).facts()

    mac = commands.run(["uname", "-s"]).stdout.strip() == "Darwin"
    return EngineProbe(
        commands,
        facts,
        is_its=owners.is_its,
        home=Path.home(),
        system="darwin" if mac else sys.platform,
        run_as=cache(owners.run_as),
    )


def _engine(spec: EngineSpec) -> Engine:
    if isinstance(spec, EmbeddedEngine):
        return Embedded(cache_folder() / "models", clock=SystemClock())
    url, wrong_address = ollama_address(spec)
    if wrong_address is not None:
        raise EngineUnreachable(wrong_address.what, wrong_address.hint)
    return Ollama(url, clock=SystemClock())


def ollama_address(spec: EngineSpec) -> tuple[str, UserError | None]:
    """Return the base URL of this machine's Ollama, or an empty text and what is wrong with it.

    Other kinds of engine have neither.
    """
    if not isinstance(spec, OllamaEngine):
        return "", None
    return _checked_address(spec.host, os.environ.get("OLLAMA_HOST", ""))


@cache
def _checked_address(host: str | None, variable: str) -> tuple[str, UserError | None]:
    """Check an address once per process, since a name service may hang."""
    try:
        return local_address(host, {"OLLAMA_HOST": variable}), None
    except UserError as problem:
        return "", problem
