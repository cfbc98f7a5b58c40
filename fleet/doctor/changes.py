"""What changed on a machine between two looks at it, and what becomes of its results. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.model.machine import HARDWARE, SOFTWARE, FactValue, Fingerprint

FIRST = ("memory_gb", "chip", "gpu", "gpu_cores", "os_version", "os_build", "gpu_driver")
"""Facts that are named first if several have changed."""
SYSTEM = frozenset({"os_version", "os_build", "kernel", "gpu_driver"})
"""Software facts that are columns of the results: trials under two values are never pooled."""
ENGINE = frozenset({"engine", "engine_version", "engine_environment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSeen:
    """A machine as it was last measured."""

    at: str
    recipe: int
    hardware_id: str | None
    software_id: str | None
    facts: Mapping[str, FactValue]


def changes(seen: LastSeen, now: Fingerprint) -> tuple[list[str], list[str]]:
    """Return the changes of hardware and of software, such as `memory_gb 64 -> 96`.

    The engine is left out: the plan says what its upgrade makes new, and several may take turns.
    """
    hard = seen.hardware_id != now.hardware_id
    soft = seen.software_id != now.software_id
    return (
        _differences(seen, now, HARDWARE) if hard else [],
        _differences(seen, now, SOFTWARE - ENGINE) if soft else [],
    )


def apart(hard: Sequence[str], soft: Sequence[str]) -> str:
    """Say what becomes of the results before and after the changes."""
    if hard:
        return "a new history begins"
    if any(text.split()[0] in SYSTEM for text in soft):
        return "results are kept apart by software"
    return "its results stay together"


def _differences(seen: LastSeen, now: Fingerprint, names: frozenset[str]) -> list[str]:
    first = [name for name in FIRST if name in names]
    return [
        f"{name} {_shown(seen.facts.get(name))} -> {_shown(now.get(name))}"
        for name in [*first, *sorted(names - set(first))]
        if seen.facts.get(name) != now.get(name)
    ]


def _shown(value: FactValue) -> str:
    return "unknown" if value is None else str(value)
