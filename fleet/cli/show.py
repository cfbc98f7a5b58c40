"""fleet show: one trial whole."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet show trial-2f82a570   the beginning of an id is enough
"""


def show(
    trial: Annotated[str, typer.Argument(help="Id of a trial, or how it begins.")],
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show one trial whole.

    The machine, the settings, every request, and the naive rates beside ours.
    """
    from fleet.app import show as app
    from fleet.app.next_steps import again_lines
    from fleet.report import comparison_text as text
    from fleet.report.trial_text import shown_lines

    homes = options.folders(store)
    found = app.read_trial(homes, trial)
    if json:
        options.print_json(text.to_json(found))
        return
    output.emit(shown_lines(found, output.columns()))
    if again := again_lines(homes, found.trial):
        output.emit(["", *again])


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(show)
