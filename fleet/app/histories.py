"""What has changed on a machine since the store last saw it: said, never merged silently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import StoreUnusable
from fleet.folders import results_folder
from fleet.model.machine import (
    FINGERPRINT_RECIPE,
    HARDWARE,
    SOFTWARE,
    FactValue,
    Fingerprint,
    Machine,
)

FIRST = ("memory_gb", "chip", "gpu", "gpu_cores", "os_version", "os_build", "gpu_driver")
"""Named first where several facts of a machine have changed."""
SYSTEM = frozenset({"os_version", "os_build", "kernel", "gpu_driver"})
"""Of the software, columns of the results: trials under two of them are never pooled."""
ENGINE = frozenset({"engine", "engine_version", "engine_environment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A machine as the store last saw it."""

    at: str
    recipe: int
    hardware_id: str | None
    software_id: str | None
    facts: Mapping[str, FactValue]


def last_seen(home: Path, machine_ids: Sequence[str]) -> dict[str, Seen]:
    """By machine id, those that were measured before; raises StoreUnusable."""
    from fleet.query.open_store import open_store, rows
    from fleet.query.views import question

    folder = results_folder(home)
    if not (folder / "current").exists():
        return {}
    with closing(open_store([folder], ["trials", "fingerprints"])) as con:
        found = {one: rows(con, question("last_fingerprint"), [one]) for one in machine_ids}
    return {machine_id: _seen(told[0]) for machine_id, told in found.items() if told}


def changes_told(home: Path, machines: Sequence[Machine]) -> Iterator[str]:
    """A line for each machine that is not what it was; an unreadable store says so elsewhere."""
    machines = [machine for machine in machines if machine.engine is not None]
    if not machines:  # nothing is measured on the others
        return
    try:
        seen = last_seen(home, [machine.machine_id for machine in machines])
    except StoreUnusable:
        return
    for machine in machines:
        then = seen.get(machine.machine_id)
        if then is None or then.recipe != FINGERPRINT_RECIPE:
            continue
        hard, soft = changes(then, machine.fingerprint)
        if hard or soft:
            told = ", ".join(hard + soft)
            yield f"{machine.name} has changed since {then.at[:16]}: {told} ({apart(hard, soft)})"


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


def _seen(row: Mapping[str, object]) -> Seen:
    facts = {name: fact["value"] for name, fact in json.loads(str(row["facts"])).items()}
    return Seen(
        at=str(row["seen_at"]),
        recipe=int(str(row["recipe"])),
        hardware_id=_text(row["hardware_id"]),
        software_id=_text(row["software_id"]),
        facts=facts,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
