"""What `fleet doctor` found on one machine, and the form of its checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fleet.doctor.changes import LastSeen
from fleet.model.declared import DeclaredFleet
from fleet.model.gates import Resident, with_resident
from fleet.model.mac_gpu_limit import PRINTED_TO_MB
from fleet.model.machine import EngineRestart, FactValue, Fingerprint
from fleet.owner.allowed import Allowed

State = Literal["ok", "cannot tell", "unfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCheck:
    """One check of `fleet doctor`: what was found, and the hint what to do."""

    name: str
    state: State
    finding: str
    hint: str = ""


def ok(name: str, finding: str, hint: str = "") -> MachineCheck:
    """Return a check that the machine passes."""
    return MachineCheck(name=name, state="ok", finding=finding, hint=hint)


def cannot_tell(name: str, finding: str, hint: str = "") -> MachineCheck:
    """Return a check that could not be made."""
    return MachineCheck(name=name, state="cannot tell", finding=finding, hint=hint)


def unfit(name: str, finding: str, hint: str = "") -> MachineCheck:
    """Return a check that keeps the machine from being measured well."""
    return MachineCheck(name=name, state="unfit", finding=finding, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaFacts:
    """The Ollama of this machine, if one answers."""

    address: str
    """Empty if the one that is set is wrong."""
    wrong_address: bool = False
    """The address set belongs to another machine, or to none: nothing was asked."""
    version: str | None = None
    problem: str = ""
    hint: str = ""
    resident: tuple[str, ...] | None = None
    """Models in memory now; None if unknown."""
    resident_on_mlx: bool = False
    """One of them runs on MLX."""
    folder: Path | None = None
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RayFacts:
    """The Ray of this machine, and its part in a fleet."""

    version: str = ""
    install: str = ""
    """The command that installs Ray."""
    role: str = ""
    """Whether this machine is the head or a node; empty for neither."""
    address: str = ""
    reaches: bool | None = None
    """Whether the head answers."""
    busy_port: int | None = None
    """A port that Ray needs and another program uses."""
    ports: str = ""
    """Ports that a firewall must allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What the owner allows, how Ollama is run, and how it would be restarted."""

    allowed: Allowed = field(default_factory=Allowed)
    problem: str = ""
    """Why the permission cannot be read."""
    restart: EngineRestart = field(default_factory=EngineRestart)
    wired_limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the checks of one machine rest on."""

    name: str
    label: str
    fingerprint: Fingerprint
    ollama: OllamaFacts
    ray: RayFacts
    seen: LastSeen | None = None
    """The machine as the results last saw it."""
    seen_problem: str = ""
    again: str = "fleet submit EXPERIMENT --again"
    """The command that measures everything anew, in the home that was examined."""
    declared: tuple[Path, DeclaredFleet] | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    """What small commands printed, by name; empty if a command is missing."""
    programs: frozenset[str] = frozenset()
    """The programs that doctor looks for and that are installed here."""
    ownership: Ownership = field(default_factory=Ownership)

    def fact(self, name: str) -> FactValue:
        """Return a fact of the machine; None if it is unknown."""
        return self.fingerprint.get(name)

    def why(self, name: str) -> str:
        """Return why a fact is unknown, as its source says."""
        fact = self.fingerprint.fact(name)
        if fact is None:
            return "no probe looks for it here"
        return fact.source.partition(": ")[2] or "no reason given"

    @property
    def look(self) -> Fingerprint:
        """The fingerprint, with the models that Ollama holds in memory if they are known."""
        resident = self.ollama.resident
        if resident is None:
            return self.fingerprint
        models = [Resident(name=name) for name in resident]
        return with_resident(self.fingerprint, models, "engine")

    def usual_limit_mb(self) -> int | None:
        """Return the usual default of such Macs, if none is set and another is in effect."""
        usual, limit = self.fact("gpu_limit_expected_mb"), self.fact("gpu_limit_mb")
        if self.fact("wired_limit_mb") != 0 or not isinstance(usual, int):
            return None
        differs = isinstance(limit, int) and abs(limit - usual) > PRINTED_TO_MB
        return usual if differs else None

    @property
    def mac(self) -> bool:
        """Whether this machine is a Mac."""
        return self.fact("os") == "darwin"
