"""fleet machines --joined: who is in the fleet now, since when, and what measures there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fleet.cli import options
from fleet.cli.view import say
from fleet.compare.tables import aligned
from fleet.units import show_count, show_span

if TYPE_CHECKING:
    from fleet.dispatch.members import Member

TITLES = ("machine", "address", "joined", "for", "measures")


def show_joined(destination: str | None, json: bool) -> None:
    """Of the head named, or of the one that runs here."""
    from fleet.app import cluster

    members = cluster.joined(cluster.require_head(destination))
    if json:
        options.print_json([asdict(each) for each in members])
        return
    for line in table(members, time.time()):
        print(line)
    if not any(each.gone_unix_s is None for each in members):
        there = f"ssh {destination} " if destination else ""
        say(f"no machine is joined; what to paste on one:  {there}fleet head --show-join")


def table(members: Sequence[Member], now_unix_s: float) -> list[str]:
    """Joined machines as a table, then a line for each that is gone."""
    joined = [each for each in members if each.gone_unix_s is None]
    rows = [_row(each, now_unix_s) for each in joined]
    gone = [each for each in members if each.gone_unix_s is not None]
    heading = [f"{show_count(len(joined), 'machine')} joined"] if joined else []
    return [*heading, *aligned(TITLES, rows), *map(_gone, gone)]


def _row(member: Member, now_unix_s: float) -> tuple[str, ...]:
    return (
        member.name,
        member.address,
        _day_and_time(member.joined_unix_s),
        show_span(max(now_unix_s - member.joined_unix_s, 0)),
        member.experiment or "nothing",
    )


def _gone(member: Member) -> str:
    since = _day_and_time(member.gone_unix_s or 0)
    return f"not joined any more: {member.name} ({member.address}), since {since}"


def _day_and_time(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))
