"""fleet results, fleet show, fleet machines: what has been measured, and on what."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fleet.cli import options, output

RESULTS_EPILOG = """\b
    fleet results                             a line per cell
    fleet results gpt-oss --flagged           what was left out or kept apart
    fleet results gpt-oss --format markdown   one table to paste
"""
SHOW_EPILOG = """\b
    fleet show trial-2f82a570   the beginning of an id is enough
"""
MACHINES_EPILOG = """\b
    fleet machines            every machine that was measured
    fleet machines --here     this one: every fact, and where it comes from
    fleet machines --joined   those that are in the fleet now
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
    from fleet.app import reading as app
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


def show(
    trial: Annotated[str, typer.Argument(help="Id of a trial, or how it begins.")],
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show one trial whole.

    The machine, the settings, every request, and the naive rates beside ours.
    """
    from fleet.app import reading as app
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


def machines(
    store: options.Stores = None,
    here: Annotated[
        bool, typer.Option("--here", help="Look at this machine now: every fact, its source.")
    ] = False,
    joined: Annotated[
        bool, typer.Option("--joined", help="Ask the head which machines are joined now.")
    ] = False,
    head: options.Head = None,
    json: options.Json = False,
) -> None:
    """Show every machine as last seen."""
    if joined or head:
        from fleet.cli.joined import require_one_question, show_joined

        require_one_question(joined=joined, head=head, others=bool(here or store))
    if joined:
        show_joined(head, json)
        return
    from fleet.report import machine_text

    if here:
        from fleet.app.doctor import look_here

        facts = look_here()
        if json:
            options.print_json(facts)
        else:
            output.emit(machine_text.fact_lines(facts, output.columns()))
        return
    from fleet.app import reading as app
    from fleet.report import comparison_text as text

    found = app.read_machines(options.folders(store))
    if json:
        options.print_json(text.to_json(found))
    else:
        output.emit(machine_text.machine_lines(found, output.columns()))


def add(app: typer.Typer) -> None:
    app.command(epilog=RESULTS_EPILOG)(results)
    app.command(epilog=SHOW_EPILOG)(show)
    app.command(epilog=MACHINES_EPILOG)(machines)
