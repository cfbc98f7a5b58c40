"""fleet show: one trial in full."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet show trial-2f82a570   the beginning of an id is enough
"""

Trial = Annotated[str, typer.Argument(help="Id of a trial, or the beginning of one.")]


def show(
    trial: Trial,
    home: options.Home = None,
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show one trial in full.

    The machine, the settings, every request, and the naive rates beside ours.
    """
    from fleet.app import show as app
    from fleet.report import comparison_text
    from fleet.report.trial_text import shown_lines

    homes = options.homes(home, store)
    shown = app.read_trial(homes, trial)
    if json:
        options.print_json(comparison_text.to_json(shown))
        return
    output.emit(shown_lines(shown, output.columns()))
    if again := app.again_command(homes, shown.trial):
        output.emit(["", f"again:  {again}"])
