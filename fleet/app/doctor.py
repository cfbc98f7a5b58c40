"""Examine this machine and everything around it for `fleet doctor`.

Nothing is started, changed, loaded or stored.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet import folders, wiring
from fleet.app.machine_changes import last_seen
from fleet.app.ownership import ownership
from fleet.clock import SystemClock
from fleet.commands import SystemCommands
from fleet.config.declared import declared_fleet
from fleet.dispatch.launch import Ports
from fleet.dispatch.ray_paths import busy_port, host_label
from fleet.dispatch.records import HEAD, NODE, read_record
from fleet.dispatch.versions import installed
from fleet.doctor import machine, owner, system
from fleet.doctor.changes import LastSeen
from fleet.doctor.diagnosis import MachineDiagnosis, machine_data
from fleet.doctor.findings import Findings, OllamaFacts, RayFacts
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.model_files import MODEL_FOLDERS
from fleet.errors import StoreUnusable, TrialError, UserError
from fleet.fingerprint.assemble import label
from fleet.fingerprint.facts import ask_all, together
from fleet.installation import add_extra
from fleet.model.experiment import OllamaEngine
from fleet.model.machine import Fingerprint
from fleet.model.runners import MLX_FORMAT
from fleet.ports import Engine
from fleet.wiring import real

MLX = """
import mlx.core as mx, sys
if sys.platform == "darwin":
    print((getattr(mx, "device_info", None) or mx.metal.device_info)())
"""
"""Prints the GPU memory that Metal grants, if MLX is installed beside fleet."""
QUESTIONS: Mapping[str, Sequence[str]] = {
    "clock": ("timedatectl", "show", "--property=NTPSynchronized"),
    "inhibit": ("systemd-inhibit", "--list", "--no-legend"),
    "who": ("who",),
    "ufw": ("systemctl", "is-active", "ufw"),
    "firewalld": ("systemctl", "is-active", "firewalld"),
    "nftables": ("systemctl", "is-active", "nftables"),
    "source": ("pmset", "-g", "batt"),
    "sleep": ("pmset", "-g", "custom"),
    "mlx": (sys.executable, "-c", MLX),
    "firewall": ("/usr/libexec/ApplicationFirewall/socketfilterfw", "--getglobalstate"),
}
PROGRAMS = ("macmon", "nvidia-smi", "systemd-inhibit")
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
OLLAMA_APP = Path("/Applications/Ollama.app")
REACH_S = 2.0
ALL_CHECKS = (*machine.CHECKS, *owner.CHECKS, *system.CHECKS)
"""In the order in which people look: the machine, what its owner allows, what is around it."""


def diagnose(home: Path, fleet_file: str | None) -> MachineDiagnosis:
    """Examine this machine; raise UserError only for a mistake in `fleet_file`."""
    declared = declared_fleet(fleet_file)
    ray, name, join_name = _ray(folders.state_folder())
    node = _node(home, name, join_name)
    questions: dict[str, Callable[[], Any]] = {
        "look": node.look,
        "ollama": _ollama,
        "answers": lambda: _answers(SystemCommands()),
        "seen": lambda: _seen(home, node.machine_id),
        "ownership": ownership,
    }
    facts = together(questions, 60.0)
    fingerprint, (seen, problem) = facts["look"], facts["seen"]
    findings = Findings(
        name=node.name,
        label=label(fingerprint),
        fingerprint=fingerprint,
        ollama=facts["ollama"],
        ray=ray,
        seen=seen,
        seen_problem=problem,
        again=folders.with_home("fleet submit EXPERIMENT --again", home),
        declared=declared,
        answers=facts["answers"],
        programs=_programs(fingerprint),
        ownership=facts["ownership"],
    )
    return MachineDiagnosis(
        name=node.name,
        machine_id=node.machine_id,
        fingerprint=fingerprint,
        checks=tuple(check for make in ALL_CHECKS for check in make(findings)),
        ownership=findings.ownership,
        wrong_address=findings.ollama.wrong_address,
    )


def look_here(home: Path) -> dict[str, Any]:
    """Return every fact of this machine at this moment, with its source, and the hashes."""
    _, name, join_name = _ray(folders.state_folder())
    node = _node(home, name, join_name)
    return machine_data(node.name, node.machine_id, node.look(), ownership())


def _node(home: Path, name: str, join_name: str | None) -> wiring.Node:
    engine = OllamaEngine(kind="ollama")
    spec = wiring.WorkerSpec(engine=engine, name=name, join_name=join_name, state=str(home))
    return wiring.node(spec, home)


def _answers(commands: SystemCommands) -> dict[str, str]:
    return {name: answer.text for name, answer in ask_all(commands, QUESTIONS).items()}


def _programs(fingerprint: Fingerprint) -> frozenset[str]:
    installed = {name for name in PROGRAMS if shutil.which(name)}
    if importlib.util.find_spec("zeus_apple_silicon"):
        installed.add("zeus-apple-silicon")
    if os.access(RAPL, os.R_OK):
        installed.add("rapl")
    if fingerprint.get("gpu_vram_mb") is not None:
        installed.add("amdgpu")
    if OLLAMA_APP.exists():
        installed.add("Ollama.app")
    return frozenset(installed)


def _ollama() -> OllamaFacts:
    folder = _model_folder()
    free = shutil.disk_usage(folder).free if folder else None
    url, wrong_address = real.ollama_address(OllamaEngine(kind="ollama"))
    ollama = OllamaFacts(
        address=url, wrong_address=bool(wrong_address), folder=folder, free_bytes=free
    )
    try:
        if wrong_address is not None:
            raise wrong_address
        engine = Ollama(url, clock=SystemClock())
        version = engine.facts().version
    except (TrialError, UserError) as problem:
        return replace(ollama, problem=problem.what, hint=problem.hint or "ollama serve")
    return _with_resident(replace(ollama, version=version), engine)


def _with_resident(ollama: OllamaFacts, engine: Engine) -> OllamaFacts:
    """Add the models in memory; they stay unknown if the engine does not say."""
    try:
        names = tuple(model.name for model in engine.resident())
        listed = engine.models() if names else ()
    except TrialError:
        return ollama
    on_mlx = {model.name for model in listed if model.model_format == MLX_FORMAT}
    return replace(ollama, resident=names, resident_on_mlx=not on_mlx.isdisjoint(names))


def _model_folder() -> Path | None:
    """Return the folder of the models, else the nearest one above it that exists."""
    named = os.environ.get("OLLAMA_MODELS")
    places = [Path(text).expanduser() for text in ([named] if named else MODEL_FOLDERS)]
    known = next((place for place in places if place.is_dir()), places[0])
    return next((folder for folder in (known, *known.parents) if folder.is_dir()), None)


def _seen(home: Path, machine_id: str) -> tuple[LastSeen | None, str]:
    """Return the machine as it was last measured, and why that is unknown."""
    try:
        return last_seen(home, [machine_id]).get(machine_id), ""
    except StoreUnusable as problem:
        return None, f"the results cannot be read: {problem.what}"


def _ray(state: Path) -> tuple[RayFacts, str, str | None]:
    """Return the state of Ray here, the machine's name, and the name it joined with."""
    version, ports = installed().ray, Ports()
    for file, role in ((NODE, "joined as a node"), (HEAD, "the head")):
        record = read_record(state / file)
        if record is not None and record.alive():
            facts = RayFacts(
                version=version,
                role=role,
                address=record.address,
                reaches=_reaches(record.address),
                ports=ports.shown(),
            )
            named = record.name if record.name not in ("", host_label()) else None
            return facts, named or wiring.host_name(), named
    busy = busy_port(ports) if version else None
    facts = RayFacts(
        version=version,
        install=add_extra("head"),
        busy_port=busy,
        ports=ports.shown(),
    )
    return facts, wiring.host_name(), None


def _reaches(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=REACH_S):
            return True
    except (OSError, ValueError):
        return False
