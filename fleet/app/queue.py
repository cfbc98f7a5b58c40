"""The queue as seen from outside: its state, and the way to stop it."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

from fleet.errors import UnknownName, UserError
from fleet.folders import ledger_file
from fleet.ledger.journal import Ledger
from fleet.ledger.rows import SubmissionStatus


def status(home: Path, experiment: str | None) -> tuple[SubmissionStatus, ...]:
    """Newest first; raises UnknownName for an experiment that was never submitted."""
    statuses: tuple[SubmissionStatus, ...] = ()
    experiments: list[str] = []
    if ledger_file(home).exists():
        with closing(Ledger(ledger_file(home))) as ledger:
            statuses = ledger.status(experiment)
            experiments = [each.experiment for each in ledger.status()]
    if experiment is not None and not statuses:
        hint = (
            f"fleet status    there are: {', '.join(experiments)}"
            if experiments
            else "fleet submit gpt-oss:20b"
        )
        raise UnknownName(f"{experiment} was never submitted here", hint)
    return statuses


def cancel(home: Path, experiment: str) -> str:
    """Tells the coordinator to stop as Ctrl-C would; says what it did."""
    status(home, experiment)
    with closing(Ledger(ledger_file(home))) as ledger:
        pid = ledger.coordinator(experiment)
    if pid is None:
        return f"{experiment} is not running"
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return f"{experiment} has just ended"
    except PermissionError:
        what = f"{experiment} was submitted by another user of this machine (process {pid})"
        raise UserError(what, f"as that user: fleet cancel {experiment}") from None
    return f"{experiment} is told to stop; what is finished is kept"
