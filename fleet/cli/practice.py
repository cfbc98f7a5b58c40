"""fleet practice: a fleet of simulated machines on this one."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import output
from fleet.cli.signals import until_told

EPILOG = """\b
    fleet practice
    fleet submit configs/practice.yaml   in a second terminal
"""


def practice(
    machines: Annotated[
        int, typer.Option("--machines", min=1, max=4, help="How many simulated machines.")
    ] = 4,
) -> None:
    """Run a fleet of simulated machines here."""
    from fleet.app import practice as app
    from fleet.config.shipped_parts import practice_machines

    names = practice_machines(machines)
    with until_told() as stop:
        app.serve_practice(names, output.say, stop)


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(practice)
