"""fleet cancel: stop a running experiment."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet cancel gpt-oss
"""


def cancel(
    experiment: Annotated[str, typer.Argument(help="Name of the experiment to stop.")],
    store: options.Store = None,
) -> None:
    """Stop a running experiment.

    What is finished is kept; the same submit goes on with the rest.
    """
    from fleet.app import cancel as app
    from fleet.cli import request

    output.emit([app.cancel(request.home(store), experiment)])


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(cancel)
