"""Stop the coordinator of an experiment."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

from fleet.app.status import status
from fleet.errors import UserError
from fleet.folders import ledger_file
from fleet.ledger.journal import Ledger


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
