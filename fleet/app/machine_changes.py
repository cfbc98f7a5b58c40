"""What has changed on a machine since the store last saw it: said, never merged silently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from fleet.doctor.changes import Seen, apart, changes
from fleet.errors import StoreUnusable
from fleet.folders import results_folder
from fleet.model.machine import FINGERPRINT_RECIPE, Machine


def last_seen(home: Path, machine_ids: Sequence[str]) -> dict[str, Seen]:
    """By machine id, those that were measured before; raises StoreUnusable."""
    from fleet.query.machines import last_fingerprints
    from fleet.query.open_store import open_store

    folder = results_folder(home)
    if not (folder / "current").exists():
        return {}
    with closing(open_store([folder], ["trials", "fingerprints"])) as con:
        prints = last_fingerprints(con, machine_ids)
    return {
        machine_id: Seen(
            at=last.seen_at,
            recipe=last.recipe,
            hardware_id=last.hardware_id,
            software_id=last.software_id,
            facts=last.values(),
        )
        for machine_id, last in prints.items()
    }


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
