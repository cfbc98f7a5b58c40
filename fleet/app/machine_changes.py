"""What has changed on a machine since it was last measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from fleet.doctor.changes import LastSeen, changes
from fleet.errors import StoreUnusable
from fleet.folders import results_folder
from fleet.model.machine import FINGERPRINT_RECIPE, Machine
from fleet.report.change_text import change_line


def last_seen(home: Path, machine_ids: Sequence[str]) -> dict[str, LastSeen]:
    """Return the machines measured before, by machine id; raise StoreUnusable."""
    from fleet.query.open_store import open_store, rows
    from fleet.query.views import question

    folder = results_folder(home)
    if not (folder / "current").exists():
        return {}
    with closing(open_store([folder], ["trials", "fingerprints"])) as con:
        latest = {each: rows(con, question("last_fingerprint"), [each]) for each in machine_ids}
    return {machine_id: _seen(found[0]) for machine_id, found in latest.items() if found}


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


def _seen(row: Mapping[str, object]) -> LastSeen:
    facts = {name: fact["value"] for name, fact in json.loads(str(row["facts"])).items()}
    return LastSeen(
        at=str(row["seen_at"]),
        recipe=int(str(row["recipe"])),
        hardware_id=_text(row["hardware_id"]),
        software_id=_text(row["software_id"]),
        facts=facts,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
