"""What the files of a store hold, what is damaged, and what was set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fleet.folders import with_home
from fleet.report.tables import Column, fitted
from fleet.store.damage import Damage, Repaired, Verified
from fleet.units import show_count

COLUMNS = (Column(title="file"), Column(title="what is wrong"))


def verified_lines(verified: Verified, home: Path, width: int | None) -> list[str]:
    """Write what could be read, a row per damaged file, and what to type next."""
    rows = ", ".join(f"{count} {table}" for table, count in verified.rows.items())
    lines = [f"{show_count(verified.files, 'file')} read whole: {rows or 'no rows'}"]
    if not verified.damaged:
        return [*lines, "nothing is damaged"]
    return [
        *lines,
        *_damaged(verified.damaged, width),
        f"set them aside, and the rest can be read: {with_home('fleet store repair', home)}",
    ]


def repaired_lines(
    repaired: Repaired, submits: Sequence[str], home: Path, width: int | None
) -> list[str]:
    """Write what was set aside, what it held, and what to type next.

    `submits`: the experiments that a submit with their name measures again.
    """
    if repaired.folder is None:
        return ["nothing is damaged"]
    lines = [
        *_damaged(repaired.damaged, width),
        f"{show_count(len(repaired.files), 'file')} set aside in {repaired.folder}",
    ]
    again = [f"measure it again: {with_home(f'fleet submit {name}', home)}" for name in submits]
    return [*lines, *_lost(repaired, submits), *again]


def _damaged(damaged: Sequence[Damage], width: int | None) -> list[str]:
    return fitted(COLUMNS, [[str(each.path), each.what] for each in damaged], width)


def _lost(repaired: Repaired, submits: Sequence[str]) -> Iterator[str]:
    if repaired.attempts:
        yield f"not counted any more: {show_count(repaired.attempts, 'trial')}"
    for name in repaired.experiments:
        if name not in submits:
            yield f"{name} was not submitted here: measure it there again, or import it again"
    if any(each.path.parent.name == "trials" and not each.attempts for each in repaired.damaged):
        yield "a file of trials that cannot be read does not tell which they were"
