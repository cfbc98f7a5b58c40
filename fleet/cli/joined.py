"""fleet machines --joined: who is in the fleet now, since when, and what measures there."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from fleet.cli import options, output
from fleet.cli.output import say
from fleet.errors import UserError
from fleet.report.tables import aligned
from fleet.units import show_count

if TYPE_CHECKING:
    from fleet.dispatch.members import Member

TITLES = ("machine", "address", "joined", "measures")
WIDEST_NAME = 26
WIDEST_EXPERIMENT = 17
"""With both, an address and a time, a line has 80 columns; --json has every name whole."""


def show_joined(destination: str | None, json: bool) -> None:
    """Of the head named, or of the one that runs here."""
    from fleet.app import cluster

    members = cluster.joined(cluster.require_head(destination))
    if json:
        options.print_json([asdict(each) for each in members])
        return
    output.emit(table(members))
    if not any(each.gone_unix_s is None for each in members):
        there = f"ssh {destination} " if destination else ""
        say(f"no machine is joined; what to paste on one:  {there}fleet head --show-join")


def require_one_question(*, joined: bool, head: str | None, others: bool) -> None:
    """`others`: --here or --store was given. A head that only the environment names is no word."""
    if joined and others:
        what = "--joined asks a head, and neither --here nor --store goes with it"
        raise UserError(what, "fleet machines --joined")
    if head and not joined and head != os.environ.get("FLEET_HEAD"):
        what = "--head goes with --joined; what was measured lies on the head itself"
        raise UserError(what, f"ssh {head} fleet machines")


def table(members: Sequence[Member]) -> list[str]:
    """Joined machines as a table, then a line for each that is gone."""
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
