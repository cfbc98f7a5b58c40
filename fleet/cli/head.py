"""fleet head: be the head of a fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output
from fleet.cli.signals import stop_on_signal

EPILOG = """\b
    fleet head               prints the lines for new machines, and stays
    fleet head --show-join   prints those lines again
"""

ShowToken = Annotated[bool, typer.Option("--show-token", help="Print the fleet's token and exit.")]
ShowJoin = Annotated[
    bool, typer.Option("--show-join", help="Print the lines for a new machine and exit.")
]


def head(
    home: options.Home = None,
    ip: options.OwnIp = None,
    show_token: ShowToken = False,
    show_join: ShowJoin = False,
) -> None:
    """Be the head of a fleet.

    The head stays in the foreground. Coordinators, ledger and results live on it.
    """
    from fleet import folders
    from fleet.app import head as app

    if show_token:
        from fleet.dispatch.access import make_token, read_token

        print(read_token(make_token(folders.state_folder())))
        return
    if show_join:
        output.emit_data(app.lines_for_new_machines())
        return
    with stop_on_signal() as stop:
        app.serve_head(folders.home_folder(home), ip, output.say, stop)
