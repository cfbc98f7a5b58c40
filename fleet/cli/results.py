"""fleet results: what has been measured, a line for each cell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet results                             a line per cell
    fleet results gpt-oss --flagged           what was left out or kept apart
    fleet results gpt-oss --format markdown   one table to paste
"""


class Format(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


Formats = Annotated[Format, typer.Option("--format", help="text, markdown, csv or json.")]


def results(
    experiment: options.Experiment = None,
    store: options.Stores = None,
    flagged: Annotated[
        bool,
        typer.Option("--flagged", help="Only what is flagged, imported, or had requests left out."),
    ] = False,
    format: Formats = Format.TEXT,
    json: options.Json = False,
) -> None:
    """Show what was measured, a line per cell."""
    from fleet.app import results as app
    from fleet.report import comparison_text as text
    from fleet.report import results_text

    form = Format.JSON if json else format
    pasted = form in (Format.MARKDOWN, Format.CSV)
    found, machines = app.read_results(options.folders(store), experiment, with_machines=pasted)
    if flagged:
        found = [row for row in found if row.flags or row.left_out or row.imported]
    if form is Format.JSON:
        options.print_json(text.to_json(found))
    elif form is Format.MARKDOWN:
        output.emit_data(results_text.results_markdown(found, machines))
    elif form is Format.CSV:
        output.emit_data(results_text.results_csv(found, machines))
    else:
        output.emit(results_text.results_lines(found, output.columns(), flagged=flagged))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(results)
