"""The machines that are joined to a fleet, as a table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleet.report.tables import aligned
from fleet.units import show_count

if TYPE_CHECKING:
    from fleet.dispatch.members import Member

TITLES = ("machine", "address", "joined", "measures")
WIDEST_NAME = 26
WIDEST_EXPERIMENT = 17
"""With both, an address and a time, a line has 80 columns; --json has every name in full."""


def joined_lines(members: Sequence[Member]) -> list[str]:
    """Return a table of the joined machines, then a line for each that has left."""
    joined = [each for each in members if each.gone_unix_s is None]
    gone = [each for each in members if each.gone_unix_s is not None]
    heading = [f"{show_count(len(joined), 'machine')} joined"] if joined else []
    return [*heading, *aligned(TITLES, list(map(_row, joined))), *map(_gone, gone)]


def _row(member: Member) -> tuple[str, ...]:
    return (
        _cut(member.name, WIDEST_NAME),
        member.address,
        _day_and_time(member.joined_unix_s),
        _cut(member.experiment or "nothing", WIDEST_EXPERIMENT),
    )


def _gone(member: Member) -> str:
    since = _day_and_time(member.gone_unix_s or 0)
    return f"left at {since}: {_cut(member.name, WIDEST_NAME)}, {member.address}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _day_and_time(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))
