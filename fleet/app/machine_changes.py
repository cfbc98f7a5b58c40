"""What has changed on a machine since it was last measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from fleet.doctor.changes import LastSeen, changes
from fleet.errors import StoreUnusable
from fleet.folders import results_folder
from fleet.model.machine import FINGERPRINT_RECIPE, Machine
from fleet.report.change_text import change_line


def last_seen(home: Path, machine_ids: Sequence[str]) -> dict[str, LastSeen]:
    """Return the machines measured before, by machine id; raise StoreUnusable."""
    from fleet.query.machines import last_fingerprints
    from fleet.query.open_store import open_store

    folder = results_folder(home)
    if not (folder / "current").exists():
        return {}
    tables = ("trials", "fingerprints")
    with closing(open_store([folder], tables, tables)) as con:
        fingerprints = last_fingerprints(con, machine_ids)
    return {
        machine_id: LastSeen(
            at=last.seen_at,
            recipe=last.recipe,
            hardware_id=last.hardware_id,
            software_id=last.software_id,
            facts=last.values(),
        )
        for machine_id, last in fingerprints.items()
    }


def change_lines(home: Path, machines: Sequence[Machine]) -> Iterator[str]:
    """Describe each machine that has changed; unreadable results are reported elsewhere."""
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
            yield change_line(machine.name, then, hard, soft)
