"""fleet practice: a fleet of simulated machines on this one."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output
from fleet.cli.signals import stop_on_signal

EPILOG = """\b
    fleet practice
    fleet submit configs/practice.yaml   in a second terminal
"""

Machines = Annotated[
    int, typer.Option("--machines", min=1, max=4, help="Number of simulated machines.")
]


def practice(machines: Machines = 4, home: options.Home = None) -> None:
    """Run a fleet of simulated machines here."""
    from fleet import folders
    from fleet.app import practice as app
    from fleet.config.shipped_parts import practice_machines

    names = practice_machines(machines)
    with stop_on_signal() as stop:
        app.serve_practice(folders.home_folder(home), names, output.say, stop)
