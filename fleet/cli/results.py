"""fleet results: what has been measured, a line for each cell."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet results                             a line for each cell
    fleet results gpt-oss --flagged           what was excluded or kept apart
    fleet results gpt-oss --format markdown   one table to paste
"""


class ResultsFormat(StrEnum):
    """How results are printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


Formats = Annotated[ResultsFormat, typer.Option("--format", help="text, markdown, csv or json.")]
Flagged = Annotated[
    bool,
    typer.Option("--flagged", help="Only cells with flags, excluded requests or imported figures."),
]


# parameters: each is an option of the command
def results(
    experiment: options.Experiment = None,
    home: options.Home = None,
    store: options.Stores = None,
    flagged: Flagged = False,
    format: Formats = ResultsFormat.TEXT,
    json: options.Json = False,
) -> None:
    """Show what was measured, a line for each cell."""
    from fleet.app import results as app
    from fleet.report import comparison_text, results_text

    form = ResultsFormat.JSON if json else format
    pasted = form in (ResultsFormat.MARKDOWN, ResultsFormat.CSV)
    rows, machines = app.read_results(options.homes(home, store), experiment, with_machines=pasted)
    if flagged:
        rows = [row for row in rows if row.flags or row.left_out or row.imported]
    if form is ResultsFormat.JSON:
        options.print_json(comparison_text.to_json(rows))
    elif form is ResultsFormat.MARKDOWN:
        output.emit_data(results_text.results_markdown(rows, machines))
    elif form is ResultsFormat.CSV:
        output.emit_data(results_text.results_csv(rows, machines))
    else:
        output.emit(results_text.results_lines(rows, output.columns(), flagged=flagged))
