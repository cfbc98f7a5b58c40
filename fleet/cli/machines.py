"""fleet machines: every machine that was measured, this one, and those that are joined."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet machines            every machine that was measured
    fleet machines --here     this one: every fact, and where it comes from
    fleet machines --joined   those that are in the fleet now
"""

Here = Annotated[
    bool, typer.Option("--here", help="Examine this machine now: every fact and its source.")
]
Joined = Annotated[
    bool, typer.Option("--joined", help="Ask the head which machines are joined now.")
]


# parameters: each is an option of the command
def machines(
    home: options.Home = None,
    store: options.Stores = None,
    here: Here = False,
    joined: Joined = False,
    head: options.Head = None,
    json: options.Json = False,
) -> None:
    """Show every machine as it was last seen."""
    require_one_question(joined=joined, head=head, others=bool(here or home or store))
    if joined:
        show_joined(head, json)
    elif here:
        show_here(home, json)
    else:
        show_measured(home, store, json)


def show_measured(home: str | None, store: list[str] | None, json: bool) -> None:
    """Print the machines of the results."""
    from fleet.app import machines as app
    from fleet.report.comparison_text import to_json
    from fleet.report.machine_text import machine_lines

    rows = app.read_machines(options.homes(home, store))
    if json:
        options.print_json(to_json(rows))
    else:
        output.emit(machine_lines(rows, output.columns()))


def show_here(home: str | None, json: bool) -> None:
    """Print every fact of this machine."""
    from fleet.app.doctor import look_here
    from fleet.folders import home_folder
    from fleet.report.machine_text import fact_lines

    facts = look_here(home_folder(home))
    if json:
        options.print_json(facts)
    else:
        output.emit(fact_lines(facts, output.columns()))


def show_joined(destination: str | None, json: bool) -> None:
    """Print the machines joined to the head named, or to the one that runs here."""
    from fleet.app import target as app
    from fleet.report.joined_text import joined_lines

    members = app.joined_machines(app.require_target(destination))
    if json:
        options.print_json([asdict(each) for each in members])
        return
    output.emit(joined_lines(members))
    if not any(each.gone_unix_s is None for each in members):
        ssh = f"ssh {destination} " if destination else ""
        output.say(f"no machine is joined; the lines to paste on one:  {ssh}fleet head --show-join")


def require_one_question(*, joined: bool, head: str | None, others: bool) -> None:
    """Raise UserError for options that ask different things.

    `others`: --here, --home or --store was given. A head that only the environment names is not
    counted as given.
    """
    from fleet.errors import UserError

    if joined and others:
        what = "--joined asks a head, so --here, --home and --store do not go with it"
        raise UserError(what, "fleet machines --joined")
    if head and not joined and head != os.environ.get("FLEET_HEAD"):
        what = "--head goes with --joined; what was measured lies on the head itself"
        raise UserError(what, f"ssh {head} fleet machines")
