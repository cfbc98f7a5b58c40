"""fleet leave: end what fleet runs here, and take back what its owner had allowed."""

from __future__ import annotations

import typer

from fleet.cli import output

EPILOG = """\b
    fleet leave
"""


def leave() -> None:
    """End the head, node or practice that runs here.

    What --allow and --hours had said is taken back.
    """
    from fleet import folders
    from fleet.app import leave as app

    left = app.leave(folders.state_folder())
    if left:
        output.emit(["left: what fleet had started here is ended"])
    taken_back = app.disallow(output.say)
    output.emit(taken_back)
    if not left and not taken_back:
        output.emit(["nothing of a fleet runs here"])


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(leave)
