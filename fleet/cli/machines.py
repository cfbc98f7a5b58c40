"""fleet machines: every machine that was measured, this one, and those that are joined."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from fleet.cli import options, output
from fleet.errors import UserError

EPILOG = """\b
    fleet machines            every machine that was measured
    fleet machines --here     this one: every fact, and where it comes from
    fleet machines --joined   those that are in the fleet now
"""


def machines(
    store: options.Stores = None,
    here: Annotated[
        bool, typer.Option("--here", help="Look at this machine now: every fact, its source.")
    ] = False,
    joined: Annotated[
        bool, typer.Option("--joined", help="Ask the head which machines are joined now.")
    ] = False,
    head: options.Head = None,
    json: options.Json = False,
) -> None:
    """Show every machine as last seen."""
    if joined or head:
        require_one_question(joined=joined, head=head, others=bool(here or store))
    if joined:
        show_joined(head, json)
        return
    from fleet.report import machine_text

    if here:
        from fleet.app.doctor import look_here

        facts = look_here()
        if json:
            options.print_json(facts)
        else:
            output.emit(machine_text.fact_lines(facts, output.columns()))
        return
    from fleet.app import machines as app
    from fleet.report import comparison_text as text

    found = app.read_machines(options.folders(store))
    if json:
        options.print_json(text.to_json(found))
    else:
        output.emit(machine_text.machine_lines(found, output.columns()))


def show_joined(destination: str | None, json: bool) -> None:
    """Of the head named, or of the one that runs here."""
    from fleet.app import target
    from fleet.report.joined_text import table

    members = target.joined(target.require_head(destination))
    if json:
        options.print_json([asdict(each) for each in members])
        return
    output.emit(table(members))
    if not any(each.gone_unix_s is None for each in members):
        there = f"ssh {destination} " if destination else ""
        output.say(f"no machine is joined; what to paste on one:  {there}fleet head --show-join")


def require_one_question(*, joined: bool, head: str | None, others: bool) -> None:
    """`others`: --here or --store was given. A head that only the environment names is no word."""
    if joined and others:
        what = "--joined asks a head, and neither --here nor --store goes with it"
        raise UserError(what, "fleet machines --joined")
    if head and not joined and head != os.environ.get("FLEET_HEAD"):
        what = "--head goes with --joined; what was measured lies on the head itself"
        raise UserError(what, f"ssh {head} fleet machines")


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(machines)
