"""fleet status and fleet cancel: how far each experiment is, and the way to stop one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output
from fleet.model.account import ACCOUNT_STATES
from fleet.units import show_span

if TYPE_CHECKING:
    from fleet.ledger.rows import LeftOutRow, StateRow, SubmissionStatus

EVERY_S = 2.0
STATUS_EPILOG = """\b
    fleet status                   every experiment, the newest first
    fleet status gpt-oss --watch   one, drawn again every two seconds
"""
CANCEL_EPILOG = """\b
    fleet cancel gpt-oss
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
    from fleet.app import queue as queueing
    from fleet.cli import asking

    home = asking.home(store)
    if json:
        options.print_json([as_data(each) for each in queueing.status(home, experiment)])
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
    from fleet.app import queue as queueing
    from fleet.cli import asking

    output.emit([queueing.cancel(asking.home(store), experiment)])


def status_lines(status: SubmissionStatus) -> list[str]:
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.submitted_unix_s))
    session = f", session {status.session}" if status.session else ""
    by = f" by {status.submitter}" if status.submitter else ""
    return [
        f"{status.experiment}   {_how(status)}   submitted {began}{by}{session}",
        *_reason_lines(status),
        *_machine_lines(status),
        *(line for row in status.states for line in _state_lines(status, row)),
        *(line for left in status.left_out for line in _left_out_lines(status, left)),
        *_closing_lines(status),
    ]


def _how(status: SubmissionStatus) -> str:
    if status.alive:
        return "running" if status.state in ("measuring", "ended") else status.state
    if status.outcome is None:
        early = status.state in ("starting", "waiting", "preparing")
        when = f" while it was {status.state}" if early else ""
        return f"its coordinator ended without a word{when}"
    if status.outcome == "interrupted":
        return "interrupted"
    if status.trials_asked is None and status.reason:
        return "not started"
    account = status.account
    if not account.missing:
        return "done"
    if account.missing == account.count("failed"):
        return "done, with failures"
    return f"not complete: {account.missing} of {account.total} trials are missing"


def _reason_lines(status: SubmissionStatus) -> list[str]:
    """Why it waits, or ended as it did; of a coordinator that died, the file of its last words."""
    lines = [f"  {part}" for part in status.reason.split("; ") if part]
    if status.outcome is None and not status.alive and status.log:
        lines.append(f"  its last words: {status.log}")
    return [] if status.outcome == "interrupted" else lines


def _machine_lines(status: SubmissionStatus) -> list[str]:
    """Machines that take no part; those whose trials tell the same reason are not told twice."""
    shown = {(row.machine, row.reason) for row in status.states}
    shown |= {(left.machine, left.clause) for left in status.left_out}
    waits_for = set(status.reason.split("; "))
    lines = []
    for row in status.machines:
        twice = (row.machine, row.reason) in shown or row.reason in waits_for
        if row.state != "planned" and not twice:
            lines.append(f"  {row.machine:<16} {row.state}: {row.reason}")
            lines += [f"  {'':<16} {row.hint}"] if row.hint else []
    return lines


def _state_lines(status: SubmissionStatus, row: StateRow) -> list[str]:
    """Canaries are told only while they run, or where they failed."""
    if row.canary and row.state not in ("running", "failed"):
        return []
    canary = "canary  " if row.canary else ""
    state = "stopped" if row.state == "running" and not status.alive else row.state
    line = f"  {row.machine:<16} {row.trials:>4} {state:<10} {canary}{_row_text(row)}"
    hint = _hint(status, row)
    return [line, f"  {'':<16}      {hint}"] if hint else [line]


def _left_out_lines(status: SubmissionStatus, left: LeftOutRow) -> list[str]:
    """A reason that the trials themselves tell is not told twice."""
    if any((row.machine, row.reason) == (left.machine, left.clause) for row in status.states):
        return []
    if left.trials:
        line = f"  {left.machine:<16} {left.trials:>4} left out   {left.clause}"
    else:
        line = f"  {left.machine:<16} left out   {left.what}: {left.clause}"
    return [line, f"  {'':<16}            {left.hint}"] if left.hint else [line]


def _closing_lines(status: SubmissionStatus) -> list[str]:
    """The sum over all trials asked for, and the command that measures what is missing."""
    from fleet.app.closing_lines import next_command

    account = status.account
    lines = [f"  trials asked for: {account.sum_text()}"] if account.total else []
    if account.unaccounted:
        lines.append(f"  {account.fault()}")
    shares = [share for share in account.shares if share.missing]
    if status.command and (shares or status.outcome != "done") and not status.alive:
        lines.append(f"  go on: {next_command(shares, status.command)}")
    return lines


def _row_text(row: StateRow) -> str:
    """Which trial it is, is said of one that runs: of many the ledger names any."""
    since = show_span(max(time.time() - row.changed_unix_s, 0))
    if row.state not in ("queued", "running"):
        return f"{since} ago" + (f"   {row.reason}" if row.reason else "")
    to_go = f"{show_span(row.estimate_s)} to go, since {since}"
    cell = _cell_text(row.example) if row.state == "running" else ""
    parts = "   ".join(part for part in (row.reason, cell) if part)
    return f"{to_go}: {parts}" if parts else to_go


def _cell_text(example: str) -> str:
    """Model, job, and the settings off their default, as the live view says them."""
    from fleet.model.settings import Settings

    defaults = {f"{name}={value}" for name, value in Settings()}
    model, job, settings = (*example.split("  ", 2), "", "")[:3]
    varied = [each for each in settings.split() if each not in defaults]
    return "  ".join([model, job, *varied])


def _hint(status: SubmissionStatus, row: StateRow) -> str:
    if row.state == "failed":
        return "transient failures: submit the same again; others: submit it with --again"
    waits = row.state == "cancelled" or (row.state == "queued" and not status.alive)
    if not waits and row.state != "absent":
        return ""
    hints = {(each.machine, each.reason): each.hint for each in status.machines}
    hints |= {(left.machine, left.clause): left.hint for left in status.left_out}
    first = hints.get((row.machine, row.reason), "")
    return f"{first}; then submit the same again" if first else "go on: submit the same again"


def as_data(status: SubmissionStatus) -> dict[str, object]:
    """For --json: the row of the ledger, and its account."""
    from dataclasses import asdict

    account = status.account
    counts = {state.replace(" ", "_"): account.count(state) for state in ACCOUNT_STATES}
    summed = {"asked": account.total, **counts, "missing": account.missing}
    return {**asdict(status), "account": {**summed, "unaccounted": account.unaccounted}}


def add(app: typer.Typer) -> None:
    app.command(epilog=STATUS_EPILOG)(status)
    app.command(epilog=CANCEL_EPILOG)(cancel)
