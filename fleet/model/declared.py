"""What the machines of a fleet should be, and what may be done to them (`configs/fleet.yaml`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from fleet.model.machine import FactValue, Fingerprint
from fleet.model.noun import Label, Noun

Allowed = Literal["restart-ollama", "wired-limit"]

_SIZE_IN_NAME = re.compile(r"(?<![A-Za-z0-9])(\d{1,4})[-_ ]?gb(?![A-Za-z0-9])", re.IGNORECASE)


class DeclaredMachine(Noun):
    """Only what is given is checked."""

    chip: str | None = None
    """Part of the chip's name, any case: `M3 Ultra`."""
    gpu: str | None = None
    """Part of the GPU's name, any case: `RTX 4090`."""
    gpu_cores: int | None = Field(default=None, ge=1)
    memory_gb: int | None = Field(default=None, ge=1)
    """As the machine was sold."""
    os: Literal["darwin", "linux"] | None = None
    os_version: str | None = None
    """How the version begins: `26`, `26.3`."""
    allow: tuple[Allowed, ...] = ()
    """What fleet may change there: restart-ollama, wired-limit."""

    def facts(self) -> dict[str, FactValue]:
        """Those given, by the names that a machine tells them by."""
        told = {"chip": self.chip, "gpu": self.gpu, "gpu_cores": self.gpu_cores}
        told |= {"memory_gb": self.memory_gb, "os": self.os, "os_version": self.os_version}
        return {name: value for name, value in told.items() if value is not None}


class DeclaredFleet(Noun):
    """The whole file."""

    version: Literal[1]
    """Version of this file's form."""
    machines: dict[Label, DeclaredMachine] = Field(min_length=1)
    """By name: the host's short name, or the name given at `fleet join --name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One fact that is not what it was said to be; `found` None: it cannot be read here."""

    name: str
    declared: str | int
    found: FactValue


def disagreements(declared: DeclaredMachine, fingerprint: Fingerprint) -> list[Disagreement]:
    parts = {"chip": declared.chip, "gpu": declared.gpu}
    same = {
        "gpu_cores": declared.gpu_cores,
        "memory_gb": declared.memory_gb,
        "os": declared.os,
    }
    return [
        *_unlike(parts, fingerprint, lambda told, found: str(told).lower() in str(found).lower()),
        *_unlike(same, fingerprint, lambda told, found: told == found),
        *_unlike({"os_version": declared.os_version}, fingerprint, _begins),
    ]


def size_in_name(name: str) -> int | None:
    """96 of `studio-96gb`: a name that tells a size must tell the right one."""
    found = _SIZE_IN_NAME.search(name)
    return int(found[1]) if found else None


def _unlike(
    declared: Mapping[str, str | int | None],
    fingerprint: Fingerprint,
    agrees: Callable[[str | int, FactValue], bool],
) -> Iterator[Disagreement]:
    for name, told in declared.items():
        found = fingerprint.get(name)
        if told is not None and (found is None or not agrees(told, found)):
            yield Disagreement(name=name, declared=told, found=found)


def _begins(told: str | int, found: FactValue) -> bool:
    """`26` is 26.3, not 260; Linux puts the distribution's name before its number."""
    words = str(found).split()
    wanted = str(told).lower()
    return any(
        word.lower() == wanted or word.lower().startswith(f"{wanted}.")
        for word in (*words, str(found))
    )
