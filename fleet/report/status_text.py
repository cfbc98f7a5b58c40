"""What `fleet status` prints of each experiment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fleet.model.settings import Settings
from fleet.report.closing_text import next_command
from fleet.units import show_span

if TYPE_CHECKING:
    from fleet.ledger.rows import LeftOutRow, StateRow, SubmissionStatus


def status_lines(status: SubmissionStatus) -> list[str]:
    """Describe one experiment: its state, its machines, its trials, and what to type."""
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.submitted_unix_s))
    session = f", session {status.session}" if status.session else ""
    by = f" by {status.submitter}" if status.submitter else ""
    return [
        f"{status.experiment}   {_state(status)}   submitted {began}{by}{session}",
        *_reason_lines(status),
        *_machine_lines(status),
        *(line for row in status.states for line in _state_lines(status, row)),
        *(line for left in status.left_out for line in _left_out_lines(status, left)),
        *_closing_lines(status),
    ]


def _state(status: SubmissionStatus) -> str:
    if status.alive:
        return "running" if status.state in ("measuring", "ended") else status.state
    if status.outcome is None:
        early = status.state in ("starting", "waiting", "preparing")
        when = f" while it was {status.state}" if early else ""
        return f"its coordinator ended without a message{when}"
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
    """Say why it waits or how it ended; for a coordinator that died, name its log."""
    lines = [f"  {part}" for part in status.reason.split("; ") if part]
    if status.outcome is None and not status.alive and status.log:
        lines.append(f"  its log: {status.log}")
    return [] if status.outcome == "interrupted" else lines


def _machine_lines(status: SubmissionStatus) -> list[str]:
    """Name the machines that take no part, unless their trials give the same reason."""
    given = {(row.machine, row.reason) for row in status.states}
    given |= {(left.machine, left.clause) for left in status.left_out}
    waits_for = set(status.reason.split("; "))
    lines = []
    for row in status.machines:
        repeated = (row.machine, row.reason) in given or row.reason in waits_for
        if row.state != "planned" and not repeated:
            lines.append(f"  {row.machine:<16} {row.state}: {row.reason}")
            lines += [f"  {'':<16} {row.hint}"] if row.hint else []
    return lines


def _state_lines(status: SubmissionStatus, row: StateRow) -> list[str]:
    """Describe canaries only while they run, or if they failed."""
    if row.canary and row.state not in ("running", "failed"):
        return []
    canary = "canary  " if row.canary else ""
    state = "stopped" if row.state == "running" and not status.alive else row.state
    line = f"  {row.machine:<16} {row.trials:>4} {state:<10} {canary}{_row_text(row)}"
    hint = _hint(status, row)
    return [line, f"  {'':<16}      {hint}"] if hint else [line]


def _left_out_lines(status: SubmissionStatus, left: LeftOutRow) -> list[str]:
    """Name what was left out, unless its trials give the same reason."""
    if any((row.machine, row.reason) == (left.machine, left.clause) for row in status.states):
        return []
    if left.trials:
        line = f"  {left.machine:<16} {left.trials:>4} left out   {left.clause}"
    else:
        line = f"  {left.machine:<16} left out   {left.what}: {left.clause}"
    return [line, f"  {'':<16}            {left.hint}"] if left.hint else [line]


def _closing_lines(status: SubmissionStatus) -> list[str]:
    """Return the sum over all trials, and the command that measures the missing ones."""
    account = status.account
    lines = [f"  trials asked for: {account.sum_text()}"] if account.total else []
    if account.unaccounted:
        lines.append(f"  {account.fault()}")
    shares = [share for share in account.shares if share.missing]
    if status.command and (shares or status.outcome != "done") and not status.alive:
        lines.append(f"  to continue: {next_command(shares, status.command)}")
    return lines


def _row_text(row: StateRow) -> str:
    """Name the trial only if it runs: among several, the ledger names any."""
    since = show_span(max(time.time() - row.changed_unix_s, 0))
    if row.state not in ("queued", "running"):
        return f"{since} ago" + (f"   {row.reason}" if row.reason else "")
    to_go = f"{show_span(row.estimate_s)} to go, since {since}"
    cell = _cell_text(row.example) if row.state == "running" else ""
    parts = "   ".join(part for part in (row.reason, cell) if part)
    return f"{to_go}: {parts}" if parts else to_go


def _cell_text(example: str) -> str:
    """Return model, job, and the settings that differ from their default."""
    defaults = {f"{name}={value}" for name, value in Settings()}
    model, job, settings = (*example.split("  ", 2), "", "")[:3]
    varied = [each for each in settings.split() if each not in defaults]
    return "  ".join([model, job, *varied])


def _hint(status: SubmissionStatus, row: StateRow) -> str:
    if row.state == "failed":
        return "transient failures: submit the same again; other failures: submit with --again"
    waits = row.state == "cancelled" or (row.state == "queued" and not status.alive)
    if not waits and row.state != "absent":
        return ""
    hints = {(each.machine, each.reason): each.hint for each in status.machines}
    hints |= {(left.machine, left.clause): left.hint for left in status.left_out}
    first = hints.get((row.machine, row.reason), "")
    return f"{first}; then submit the same again" if first else "to continue: submit the same again"
