"""fleet head: be the head of a fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output
from fleet.cli.signals import until_told

EPILOG = """\b
    fleet head               prints the lines for new machines, and stays
    fleet head --show-join   those lines once more
"""


def head(
    ip: options.OwnIp = None,
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
    from fleet.app import head as app

    if show_token:
        from fleet.dispatch.access import make_token, read_token

        print(read_token(make_token(folders.state_folder())))
        return
    if show_join:
        output.emit_data(app.join_lines())
        return
    with until_told() as stop:
        app.serve_head(ip, output.say, stop)


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(head)
