"""fleet join: make this machine part of a fleet, and permit what its owner allows."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleet.cli import options, output
from fleet.cli.signals import stop_on_signal

EPILOG = """\b
    fleet join 192.168.1.10
    fleet join 192.168.1.10 --name box-4090 --hours 22-07
    fleet join --allow restart-ollama   only permits it here, joins nothing
    fleet join --allow engine-binary v0.34=/opt/ollama-0.34/bin/ollama
"""

TOKEN_ASKED = "the fleet's token (on the head: fleet head --show-token; empty: the one kept here)"

Words = Annotated[
    list[str] | None,
    typer.Argument(
        help="Address of the head; LABEL=PATH registers an Ollama.", metavar="HEAD|LABEL=PATH"
    ),
]
MachineName = Annotated[
    str | None, typer.Option("--name", help="Name of this machine; part of its identity.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        help="What fleet may do here: restart-ollama, engine-binary, or on a Mac wired-limit.",
    ),
]
Hours = Annotated[
    str | None, typer.Option("--hours", help="When trials may begin here: 22-07, local time.")
]
RestartCommand = Annotated[
    str | None,
    typer.Option("--restart-command", help="Your own way to restart Ollama; also allows it."),
]


# parameters: the options of the command
def join(
    words: Words = None,
    name: MachineName = None,
    ip: options.OwnIp = None,
    allow: Allow = None,
    hours: Hours = None,
    restart_command: RestartCommand = None,
) -> None:
    """Join this machine to a fleet.

    The node stays in the foreground and reads the token from standard input. With --allow or
    --hours or --restart-command alone nothing is joined; they hold until fleet leave.
    """
    from fleet.app import join as app
    from fleet.errors import UserError

    address, programs = app.head_and_programs(words or ())
    app.allow(
        allow or (), output.say, hours=hours, restart_command=restart_command, programs=programs
    )
    if address is None:
        if not allow and hours is None and restart_command is None:
            raise UserError("fleet join: which head?", "fleet join 192.168.1.10")
        return
    app.greet_head(address, name, output.say)
    token = read_token()
    with stop_on_signal() as stop:
        app.serve_node(address, name=name, token=token, own_ip=ip, say=output.say, stop=stop)


def read_token() -> str | None:
    """Read the token from standard input, unseen on a terminal; None for the one kept here."""
    if sys.stdin.isatty():
        from getpass import getpass

        print(TOKEN_ASKED, file=sys.stderr)
        return getpass("token: ").strip() or None
    return sys.stdin.readline().strip() or None
