"""What has changed on a machine since the store last saw it: said, never merged silently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from fleet.doctor.changes import Seen, apart, changes
from fleet.errors import StoreUnusable
from fleet.folders import results_folder
from fleet.model.machine import FINGERPRINT_RECIPE, Machine


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
