"""fleet import: transcripts of `ollama run --verbose` into the same tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet import transcript.txt --machine studio-96 --date 2025-08-09 --source "my terminal"
"""


def import_file(
    file: Annotated[Path, typer.Argument(help="Text file that holds the transcripts.")],
    machine: Annotated[str, typer.Option("--machine", help="Name of the machine they ran on.")],
    date: Annotated[str, typer.Option("--date", help="Day they ran: 2025-08-09.")],
    source: Annotated[str, typer.Option("--source", help="Where the figures come from.")],
    model: Annotated[
        str | None, typer.Option("--model", help="For figures without a command line before them.")
    ] = None,
    experiment: Annotated[
        str, typer.Option("--experiment", help="Name to store them under.")
    ] = "imported",
    store: options.Store = None,
) -> None:
    """Store figures of `ollama run --verbose`.

    They are marked as imported and never pooled with measured ones.
    """
    from fleet.app import importing as app
    from fleet.cli import asking

    asking.check_name("--experiment", experiment)
    asking.check_label("--machine", machine)
    home = asking.home(store)
    for line in app.import_transcripts(
        home, file, machine=machine, date=date, source=source, model=model, experiment=experiment
    ):
        output.emit([line])


def add(app: typer.Typer) -> None:
    app.command("import", epilog=EPILOG)(import_file)
