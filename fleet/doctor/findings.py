"""What doctor has found on one machine, and what it makes of each thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fleet.doctor.changes import Seen
from fleet.model.declared import DeclaredFleet
from fleet.model.gates import Resident, with_resident
from fleet.model.mac_gpu_limit import PRINTED_TO_MB
from fleet.model.machine import EngineRestart, FactValue, Fingerprint
from fleet.owner.allowed import Allowed

State = Literal["ok", "cannot tell", "unfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    state: State
    found: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaFound:
    address: str
    """Empty where it is a wrong one."""
    wrong_address: bool = False
    """It is another machine's, or none: nothing was asked."""
    version: str | None = None
    problem: str = ""
    hint: str = ""
    resident: tuple[str, ...] | None = None
    """Models in memory now; None where it was not asked."""
    folder: Path | None = None
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RayFound:
    """`role`: head, node or empty; `reaches`: the head answers; `busy_port`: taken by another."""

    version: str = ""
    install: str = ""
    """The command that installs it; for where there is none."""
    role: str = ""
    address: str = ""
    reaches: bool | None = None
    busy_port: int | None = None
    ports: str = ""
    """What a firewall must let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What doctor tells of it: the permission, how Ollama is run, what a restart would type."""

    allowed: Allowed = field(default_factory=Allowed)
    problem: str = ""
    """Why the permission cannot be read."""
    restart: EngineRestart = field(default_factory=EngineRestart)
    wired_limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    name: str
    label: str
    fingerprint: Fingerprint
    ollama: OllamaFound
    ray: RayFound
    seen: Seen | None = None
    seen_problem: str = ""
    declared: tuple[Path, DeclaredFleet] | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    """What small commands printed, by name; empty where there is no such command."""
    programs: frozenset[str] = frozenset()
    """Of those that doctor knows: the ones installed here."""
    ownership: Ownership = field(default_factory=Ownership)

    def fact(self, name: str) -> FactValue:
        return self.fingerprint.get(name)

    def why(self, name: str) -> str:
        """Why a fact is unknown, as its source says."""
        fact = self.fingerprint.fact(name)
        if fact is None:
            return "no probe looks for it here"
        return fact.source.partition(": ")[2] or "not told"

    @property
    def look(self) -> Fingerprint:
        """The fingerprint, with the models that Ollama holds where it was asked for them."""
        resident = self.ollama.resident
        if resident is None:
            return self.fingerprint
        models = [Resident(name=name) for name in resident]
        return with_resident(self.fingerprint, models, "engine")

    def usual_limit_mb(self) -> int | None:
        """The default of such Macs, where none is set and another one is in effect."""
        usual, limit = self.fact("gpu_limit_expected_mb"), self.fact("gpu_limit_mb")
        if self.fact("wired_limit_mb") != 0 or not isinstance(usual, int):
            return None
        differs = isinstance(limit, int) and abs(limit - usual) > PRINTED_TO_MB
        return usual if differs else None

    @property
    def mac(self) -> bool:
        return self.fact("os") == "darwin"
