"""fleet cancel: stop a running experiment."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet cancel gpt-oss
"""

Experiment = Annotated[str, typer.Argument(help="Name of the experiment to stop.")]


def cancel(experiment: Experiment, home: options.Home = None) -> None:
    """Stop a running experiment.

    Finished trials are kept; the same submit continues with the rest.
    """
    from fleet.app import cancel as app
    from fleet.folders import home_folder

    output.emit([app.cancel(home_folder(home), experiment)])
