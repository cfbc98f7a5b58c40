"""fleet status and fleet cancel: how far each experiment is, and the way to stop one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output
from fleet.units import show_span

if TYPE_CHECKING:
    from fleet.ledger.journal import StateRow, SubmissionStatus

EVERY_S = 2.0


def status(
    experiment: options.Experiment = None,
    store: options.Store = None,
    watch: Annotated[bool, typer.Option("--watch", help="Draw again every two seconds.")] = False,
    json: options.Json = False,
) -> None:
    """Show what runs, waits, failed, is left out.

    Each with its reason and the command that mends it.
    """
    from dataclasses import asdict

    from fleet.app import queueing
    from fleet.cli import asking

    home = asking.home(store)
    if json:
        options.print_json([asdict(each) for each in queueing.status(home, experiment)])
        return
    while True:
        lines = [line for each in queueing.status(home, experiment) for line in status_lines(each)]
        if watch:
            print("\033[2J\033[H", end="")
        output.emit(lines or ["nothing was submitted yet: fleet submit gpt-oss:20b"])
        if not watch:
            return
        time.sleep(EVERY_S)


def cancel(
    experiment: Annotated[str, typer.Argument(help="Name of the experiment to stop.")],
    store: options.Store = None,
) -> None:
    """Stop a running experiment.

    What is finished is kept; the same submit goes on with the rest.
    """
    from fleet.app import queueing
    from fleet.cli import asking

    output.emit([queueing.cancel(asking.home(store), experiment)])


def status_lines(status: SubmissionStatus) -> list[str]:
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.submitted_unix_s))
    session = f", session {status.session}" if status.session else ""
    lines = [f"{status.experiment}   {_how(status)}   submitted {began}{session}"]
    for row in status.states:
        lines.append(f"  {row.machine:<16} {row.trials:>4} {row.state:<10} {_row_text(row)}")
        mend = _mend(status, row)
        if mend:
            lines.append(f"  {'':<16}      {mend}")
    for left in status.left_out:
        lines.append(f"  {left.machine:<16} left out   {left.what}: {left.clause}")
        if left.mend:
            lines.append(f"  {'':<16}            {left.mend}")
    return lines


def _how(status: SubmissionStatus) -> str:
    if status.alive:
        return "running"
    if status.outcome is None:
        return "its coordinator ended without a word"
    return {"done": "done", "failed": "done, with failures"}.get(status.outcome, status.outcome)


def _row_text(row: StateRow) -> str:
    since = show_span(max(time.time() - row.changed_unix_s, 0))
    if row.state in ("queued", "running"):
        to_go = f"{show_span(row.estimate_s)} to go, since {since}: "
        return to_go + (f"{row.reason}   {row.example}" if row.reason else row.example)
    return f"{since} ago" + (f"   {row.reason}" if row.reason else "")


def _mend(status: SubmissionStatus, row: StateRow) -> str:
    waits = row.state in ("cancelled", "failed") or (row.state == "queued" and not status.alive)
    if not waits:
        return ""
    if row.state == "failed":
        return "transient failures: submit the same again; others: submit it with --again"
    return "go on: submit the same again"


def add(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(cancel)
