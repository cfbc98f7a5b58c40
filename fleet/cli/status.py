"""fleet status: how far each experiment is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output
from fleet.model.account import ACCOUNT_STATES

if TYPE_CHECKING:
    from fleet.ledger.rows import SubmissionStatus

EVERY_S = 2.0
EPILOG = """\b
    fleet status                   every experiment, the newest first
    fleet status gpt-oss --watch   one, drawn again every two seconds
"""


def status(
    experiment: options.Experiment = None,
    store: options.Store = None,
    watch: Annotated[bool, typer.Option("--watch", help="Draw again every two seconds.")] = False,
    json: options.Json = False,
) -> None:
    """Show what runs, waits, failed, is left out.

    Each with its reason and the command to type.
    """
    from fleet.app import status as app
    from fleet.cli import request
    from fleet.report.status_text import status_lines

    home = request.home(store)
    if json:
        options.print_json([as_data(each) for each in app.status(home, experiment)])
        return
    while True:
        lines = [line for each in app.status(home, experiment) for line in status_lines(each)]
        if watch:
            print("\033[2J\033[H", end="")
        output.emit(lines or ["nothing was submitted yet: fleet submit gpt-oss:20b"])
        if not watch:
            return
        time.sleep(EVERY_S)


def as_data(status: SubmissionStatus) -> dict[str, object]:
    """For --json: the row of the ledger, and its account."""
    from dataclasses import asdict

    account = status.account
    counts = {state.replace(" ", "_"): account.count(state) for state in ACCOUNT_STATES}
    summed = {"asked": account.total, **counts, "missing": account.missing}
    return {**asdict(status), "account": {**summed, "unaccounted": account.unaccounted}}


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(status)
