"""fleet status: how far each experiment is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.ledger.rows import SubmissionStatus

EVERY_S = 2.0
EPILOG = """\b
    fleet status                   every experiment, the newest first
    fleet status gpt-oss --watch   one experiment, updated every two seconds
"""

Watch = Annotated[bool, typer.Option("--watch", help="Update the screen every two seconds.")]


def status(
    experiment: options.Experiment = None,
    home: options.Home = None,
    watch: Watch = False,
    json: options.Json = False,
) -> None:
    """Show what runs, waits, failed or was left out.

    Each with its reason and the command to type.
    """
    from fleet.app import status as app
    from fleet.folders import home_folder, with_home
    from fleet.report.status_text import status_lines

    folder = home_folder(home)
    if json:
        options.print_json([as_data(each) for each in app.status(folder, experiment)])
        return
    while True:
        lines = [line for each in app.status(folder, experiment) for line in status_lines(each)]
        if watch:
            print("\033[2J\033[H", end="")
        submit = with_home("fleet submit gpt-oss:20b", folder)
        output.emit(lines or [f"nothing was submitted yet: {submit}"])
        if not watch:
            return
        time.sleep(EVERY_S)


def as_data(status: SubmissionStatus) -> dict[str, object]:
    """Return the row of the ledger with its account, for --json."""
    from dataclasses import asdict

    from fleet.model.account import ACCOUNT_STATES

    account = status.account
    counts = {state.replace(" ", "_"): account.count(state) for state in ACCOUNT_STATES}
    sums = {"asked": account.total, **counts, "missing": account.missing}
    return {**asdict(status), "account": {**sums, "unaccounted": account.unaccounted}}
