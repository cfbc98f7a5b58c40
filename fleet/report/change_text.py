"""What has changed on a machine, as a line of text."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.doctor.changes import LastSeen, apart


def change_line(machine: str, seen: LastSeen, hard: Sequence[str], soft: Sequence[str]) -> str:
    """Name the changes of hardware and software, and what becomes of the results."""
    changes = ", ".join([*hard, *soft])
    return f"{machine} has changed since {seen.at[:16]}: {changes} ({apart(hard, soft)})"
