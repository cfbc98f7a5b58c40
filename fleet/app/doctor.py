"""fleet doctor: look at this machine and everything around it, then say what is fit and what not.

Reads only: nothing is started, changed, loaded or stored.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleet import config, folders, wiring
from fleet.app.allowing import ownership
from fleet.app.machine_changes import last_seen
from fleet.clock import SystemClock
from fleet.commands import SystemCommands
from fleet.doctor.changes import Seen
from fleet.doctor.findings import Ownership
from fleet.doctor.machine import Check, Findings, OllamaFound, RayFound, checks
from fleet.doctor.owner import CHECKS as OWNERS
from fleet.doctor.system import CHECKS as AROUND
from fleet.errors import StoreUnusable, TrialError, UserError
from fleet.installation import add_extra
from fleet.model.experiment import OllamaEngine
from fleet.model.machine import WIRED_LIMIT, Fingerprint
from fleet.ports import Engine

MLX = """
import mlx.core as mx, sys
if sys.platform == "darwin":
    print((getattr(mx, "device_info", None) or mx.metal.device_info)())
"""
"""What Metal gives a GPU, where MLX is installed beside fleet."""
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
MODEL_FOLDERS = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")
REACH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    name: str
    machine_id: str
    fingerprint: Fingerprint
    checks: tuple[Check, ...]
    ownership: Ownership
    wrong_address: bool = False
    """The address set for its Ollama is another machine's, or none."""

    @property
    def exit_code(self) -> int:
        if self.wrong_address:
            return UserError.exit_code
        return 0 if self.fit else 1

    @property
    def fit(self) -> bool:
        """Something that cannot be told holds nobody."""
        return all(check.state != "unfit" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        checks = [
            {"name": c.name, "state": c.state, "found": c.found, "hint": c.hint}
            for c in self.checks
        ]
        told = shown(self.name, self.machine_id, self.fingerprint, self.ownership)
        return {"fit": self.fit, "checks": checks, **told}


def diagnose(home: Path, fleet_file: str | None) -> Diagnosis:
    """Raises UserError for a mistake in `fleet_file`; everything else is a finding."""
    from fleet.fingerprint.assemble import label
    from fleet.fingerprint.facts import together

    declared = config.declared_fleet(fleet_file)
    ray, name, join_name = _ray(folders.state_folder())
    spec = wiring.WorkerSpec(
        engine=OllamaEngine(kind="ollama"), name=name, join_name=join_name, state=str(home)
    )
    node = wiring.node(spec, home)
    asked: dict[str, Callable[[], Any]] = {
        "look": node.look,
        "ollama": _ollama,
        "answers": lambda: _answers(SystemCommands()),
        "seen": lambda: _seen(home, node.machine_id),
        "ownership": ownership,
    }
    told = together(asked, 60.0)
    fingerprint, (seen, problem) = told["look"], told["seen"]
    found = Findings(
        name=node.name,
        label=label(fingerprint),
        fingerprint=fingerprint,
        ollama=told["ollama"],
        ray=ray,
        seen=seen,
        seen_problem=problem,
        declared=declared,
        answers=told["answers"],
        programs=_programs(fingerprint),
        ownership=told["ownership"],
    )
    return Diagnosis(
        name=node.name,
        machine_id=node.machine_id,
        fingerprint=fingerprint,
        checks=(*checks(found), *(c for make in (*OWNERS, *AROUND) for c in make(found))),
        ownership=found.ownership,
        wrong_address=found.ollama.wrong_address,
    )


def look_here() -> dict[str, Any]:
    """Every fact of this machine at this moment, with its source; three hashes and the id."""
    home = folders.home_folder(None)
    _, name, join_name = _ray(folders.state_folder())
    engine = OllamaEngine(kind="ollama")
    node = wiring.node(
        wiring.WorkerSpec(engine=engine, name=name, join_name=join_name, state=str(home)), home
    )
    return shown(node.name, node.machine_id, node.look(), ownership())


def shown(name: str, machine_id: str, found: Fingerprint, owners: Ownership) -> dict[str, Any]:
    hours = owners.allowed.hours
    return {
        "machine": name,
        "allowed": sorted(owners.allowed.kinds | ({WIRED_LIMIT} if owners.wired_limit else set())),
        "hours": str(hours) if hours else None,
        "machine_id": machine_id,
        "hardware_id": found.hardware_id,
        "software_id": found.software_id,
        "condition_id": found.condition_id,
        "recipe": found.recipe,
        "facts": {
            f.name: {"value": f.value, "source": f.source, "state": f.state} for f in found.facts
        },
    }


def _answers(commands: SystemCommands) -> dict[str, str]:
    from fleet.fingerprint.facts import ask_all

    return {name: answer.text for name, answer in ask_all(commands, QUESTIONS).items()}


def _programs(fingerprint: Fingerprint) -> frozenset[str]:
    there = {name for name in PROGRAMS if shutil.which(name)}
    if importlib.util.find_spec("zeus_apple_silicon"):
        there.add("zeus-apple-silicon")
    if os.access(RAPL, os.R_OK):
        there.add("rapl")
    if fingerprint.get("gpu_vram_mb") is not None:
        there.add("amdgpu")
    if OLLAMA_APP.exists():
        there.add("Ollama.app")
    return frozenset(there)


def _ollama() -> OllamaFound:
    from fleet.engines.ollama import Ollama

    folder = _model_folder()
    free = shutil.disk_usage(folder).free if folder else None
    url, wrong_address = wiring.ollama_address(OllamaEngine(kind="ollama"))
    ollama = OllamaFound(
        address=url, wrong_address=bool(wrong_address), folder=folder, free_bytes=free
    )
    try:
        if wrong_address is not None:
            raise wrong_address
        engine = Ollama(url, clock=SystemClock())
        version = engine.facts().version
    except (TrialError, UserError) as problem:
        return replace(ollama, problem=problem.what, hint=problem.hint or "ollama serve")
    return replace(ollama, version=version, resident=_resident(engine))


def _resident(engine: Engine) -> tuple[str, ...] | None:
    """Names of the models in memory; None where the engine does not say."""
    try:
        return tuple(model.name for model in engine.resident())
    except TrialError:
        return None


def _model_folder() -> Path | None:
    """Where models lie, else the nearest folder above that is there."""
    named = os.environ.get("OLLAMA_MODELS")
    places = [Path(text).expanduser() for text in ([named] if named else MODEL_FOLDERS)]
    known = next((place for place in places if place.is_dir()), places[0])
    return next((folder for folder in (known, *known.parents) if folder.is_dir()), None)


def _seen(home: Path, machine_id: str) -> tuple[Seen | None, str]:
    """The machine as last measured, and why that cannot be told."""
    try:
        return last_seen(home, [machine_id]).get(machine_id), ""
    except StoreUnusable as problem:
        return None, f"the results cannot be read: {problem.what}"


def _ray(state: Path) -> tuple[RayFound, str, str | None]:
    """What of Ray is here; the machine's name, and the name it joined with."""
    from fleet.dispatch.launch import Ports
    from fleet.dispatch.ray_paths import busy_port, host_label
    from fleet.dispatch.records import HEAD, NODE, read_record
    from fleet.dispatch.versions import installed

    version, ports = installed().ray, Ports()
    for file, role in ((NODE, "joined as a node"), (HEAD, "the head")):
        record = read_record(state / file)
        if record is not None and record.alive():
            found = RayFound(
                version=version,
                role=role,
                address=record.address,
                reaches=_reaches(record.address),
                ports=ports.shown(),
            )
            named = record.name if record.name not in ("", host_label()) else None
            return found, named or wiring.host_name(), named
    busy = busy_port(ports) if version else None
    found = RayFound(
        version=version,
        install=add_extra("head"),
        busy_port=busy,
        ports=ports.shown(),
    )
    return found, wiring.host_name(), None


def _reaches(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=REACH_S):
            return True
    except (OSError, ValueError):
        return False
