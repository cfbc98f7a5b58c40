"""What the machines of a fleet should be, and what fleet may change (`configs/fleet.yaml`)."""

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
    """What one machine should be; only the given keys are checked."""

    chip: str | None = None
    """Part of the chip's name, any case: `M3 Ultra`."""
    gpu: str | None = None
    """Part of the GPU's name, any case: `RTX 4090`."""
    gpu_cores: int | None = Field(default=None, ge=1)
    memory_gb: int | None = Field(default=None, ge=1)
    """Memory as the machine was sold."""
    os: Literal["darwin", "linux"] | None = None
    os_version: str | None = None
    """The beginning of the version: `26`, `26.3`."""
    endpoint: str | None = None
    """Address of its Ollama, where only that runs: `http://gpu-box:11434`. fleet measures it from
    here, over the network, and takes the facts above as they are given."""
    allow: tuple[Allowed, ...] = ()
    """What fleet may change there: restart-ollama, wired-limit."""

    def facts(self) -> dict[str, FactValue]:
        """Return the given facts by the names under which machines report them."""
        facts = {"chip": self.chip, "gpu": self.gpu, "gpu_cores": self.gpu_cores}
        facts |= {"memory_gb": self.memory_gb, "os": self.os, "os_version": self.os_version}
        return {name: value for name, value in facts.items() if value is not None}


class DeclaredFleet(Noun):
    """The whole file `configs/fleet.yaml`."""

    version: Literal[1]
    """Version of this file's form."""
    machines: dict[Label, DeclaredMachine] = Field(min_length=1)
    """By name: the host's short name, or the name given at `fleet join --name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One fact that differs from its declaration."""

    name: str
    declared: str | int
    actual: FactValue
    """None: the machine cannot be asked for it."""


def disagreements(declared: DeclaredMachine, fingerprint: Fingerprint) -> list[Disagreement]:
    """Return every declared fact that the machine does not have."""
    parts = {"chip": declared.chip, "gpu": declared.gpu}
    same = {
        "gpu_cores": declared.gpu_cores,
        "memory_gb": declared.memory_gb,
        "os": declared.os,
    }
    return [
        *_unlike(parts, fingerprint, lambda part, actual: str(part).lower() in str(actual).lower()),
        *_unlike(same, fingerprint, lambda value, actual: value == actual),
        *_unlike({"os_version": declared.os_version}, fingerprint, _begins),
    ]


def size_in_name(name: str) -> int | None:
    """Return 96 for `studio-96gb`; None if the name contains no size."""
    match = _SIZE_IN_NAME.search(name)
    return int(match[1]) if match else None


def _unlike(
    declared: Mapping[str, str | int | None],
    fingerprint: Fingerprint,
    agrees: Callable[[str | int, FactValue], bool],
) -> Iterator[Disagreement]:
    for name, value in declared.items():
        actual = fingerprint.get(name)
        if value is not None and (actual is None or not agrees(value, actual)):
            yield Disagreement(name=name, declared=value, actual=actual)


def _begins(version: str | int, actual: FactValue) -> bool:
    """Match 26 with 26.3, not with 260; on Linux a distribution's name precedes its number."""
    words = str(actual).split()
    wanted = str(version).lower()
    return any(
        word.lower() == wanted or word.lower().startswith(f"{wanted}.")
        for word in (*words, str(actual))
    )
