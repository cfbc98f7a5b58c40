"""fleet head, join, leave, practice: several machines as one fleet."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fleet.cli import output

OwnIp = Annotated[
    str | None, typer.Option("--ip", help="This machine's address, where it has several.")
]

HEAD_EPILOG = """\b
    fleet head               prints the lines for new machines, and stays
    fleet head --show-join   those lines once more
"""
JOIN_EPILOG = """\b
    fleet join 192.168.1.10
    fleet join 192.168.1.10 --name box-4090 --hours 22-07
    fleet join --allow restart-ollama   only permits it here, joins nothing
"""
LEAVE_EPILOG = """\b
    fleet leave
"""
PRACTICE_EPILOG = """\b
    fleet practice
    fleet submit configs/practice.yaml   in a second terminal
"""

TOKEN_ASKED = "the fleet's token (on the head: fleet head --show-token; empty: the one kept here)"


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event, so that everything started is ended in order."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def head(
    ip: OwnIp = None,
    show_token: Annotated[
        bool, typer.Option("--show-token", help="Print the fleet's token and end.")
    ] = False,
    show_join: Annotated[
        bool, typer.Option("--show-join", help="Print the lines for a new machine and end.")
    ] = False,
) -> None:
    """Be the head of a fleet.

    In the foreground. Coordinator, ledger and store live here.
    """
    from fleet import folders
    from fleet.app import cluster
    from fleet.cli.output import say

    if show_token:
        from fleet.dispatch.access import make_token, read_token

        print(read_token(make_token(folders.state_folder())))
        return
    if show_join:
        from fleet.app.joining import join_lines

        output.emit_data(join_lines())
        return
    with until_told() as stop:
        cluster.serve_head(ip, say, stop)


def join(
    address: Annotated[
        str | None, typer.Argument(help="Address of the head.", metavar="HEAD")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name for this machine; part of its identity."),
    ] = None,
    ip: OwnIp = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            help="What fleet may do here: restart-ollama, or on a Mac wired-limit.",
        ),
    ] = None,
    hours: Annotated[
        str | None,
        typer.Option("--hours", help="When trials may begin here: 22-07, local time."),
    ] = None,
) -> None:
    """Join this machine to a fleet.

    In the foreground. Asks for the token on standard input. With --allow or --hours alone nothing
    is joined; both stay until fleet leave.
    """
    from fleet.app import allowing, cluster
    from fleet.cli.output import say
    from fleet.errors import UserError

    allowing.allow(allow or (), say, hours=hours)
    if address is None:
        if not allow and hours is None:
            raise UserError("fleet join: which head?", "fleet join 192.168.1.10")
        return
    cluster.greet_head(address, name, say)
    token = read_token()
    with until_told() as stop:
        cluster.serve_node(address, name=name, token=token, own_ip=ip, say=say, stop=stop)


def read_token() -> str | None:
    """From standard input, unseen on a terminal; empty: the one kept from before."""
    if sys.stdin.isatty():
        from getpass import getpass

        print(TOKEN_ASKED, file=sys.stderr)
        return getpass("token: ").strip() or None
    return sys.stdin.readline().strip() or None


def leave() -> None:
    """End the head, node or practice that runs here.

    What --allow and --hours had said is taken back.
    """
    from fleet import folders
    from fleet.app import allowing, cluster
    from fleet.cli.output import say

    left = cluster.leave(folders.state_folder())
    if left:
        output.emit(["left: what fleet had started here is ended"])
    taken_back = allowing.disallow(say)
    output.emit(taken_back)
    if not left and not taken_back:
        output.emit(["nothing of a fleet runs here"])


def practice(
    machines: Annotated[
        int, typer.Option("--machines", min=1, max=4, help="How many simulated machines.")
    ] = 4,
) -> None:
    """Run a fleet of simulated machines here."""
    from fleet import config
    from fleet.app import cluster
    from fleet.cli.output import say

    names = config.practice_machines(machines)
    with until_told() as stop:
        cluster.serve_practice(names, say, stop)


def coordinate() -> None:
    """Run on the head for a request that was sent to it."""
    from fleet.app import cluster
    from fleet.cli import plan as planning
    from fleet.cli.progress import PlainTalk

    if form := cluster.plan_wanted():
        raise typer.Exit(planning.show(cluster.coordinate_plan(), json=form == "json"))
    raise typer.Exit(cluster.coordinate(PlainTalk()))


def add(app: typer.Typer) -> None:
    app.command(epilog=HEAD_EPILOG)(head)
    app.command(epilog=JOIN_EPILOG)(join)
    app.command(epilog=LEAVE_EPILOG)(leave)
    app.command(epilog=PRACTICE_EPILOG)(practice)
    app.command(hidden=True)(coordinate)
