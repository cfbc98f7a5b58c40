"""What differs on a machine between two looks at it, and what becomes of its results. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.comparability import POOLING_KEY
from fleet.model.machine import HARDWARE, SOFTWARE, FactValue, Fingerprint

FIRST = ("memory_gb", "chip", "gpu", "gpu_cores", "os_version", "os_build", "gpu_driver")
"""Named first where several facts of a machine have changed."""
SYSTEM = frozenset(column.name for column in POOLING_KEY if column.of == "system")
"""Of the software, columns of the results: trials under two of them are never pooled."""
ENGINE = frozenset(column.name for column in POOLING_KEY if column.of == "engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A machine as the store last saw it."""

    at: str
    recipe: int
    hardware_id: str | None
    software_id: str | None
    facts: Mapping[str, FactValue]


def changes(seen: Seen, now: Fingerprint) -> tuple[list[str], list[str]]:
    """`memory_gb 64 -> 96`, of the hardware and of the software.

    The engine is left out: what an upgrade of it makes new, the plan says, and several take turns.
    """
    hard = seen.hardware_id != now.hardware_id
    soft = seen.software_id != now.software_id
    return (
        _differences(seen, now, HARDWARE) if hard else [],
        _differences(seen, now, SOFTWARE - ENGINE) if soft else [],
    )


def apart(hard: Sequence[str], soft: Sequence[str]) -> str:
    """What becomes of the results before and after, in words."""
    if hard:
        return "a new history begins"
    if any(text.split()[0] in SYSTEM for text in soft):
        return "kept apart by software"
    return "its results stay together"


def _differences(seen: Seen, now: Fingerprint, names: frozenset[str]) -> list[str]:
    first = [name for name in FIRST if name in names]
    return [
        f"{name} {_shown(seen.facts.get(name))} -> {_shown(now.get(name))}"
        for name in [*first, *sorted(names - set(first))]
        if seen.facts.get(name) != now.get(name)
    ]


def _shown(value: FactValue) -> str:
    return "unknown" if value is None else str(value)
