"""Stop the coordinator of an experiment."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

from fleet.app.status import status
from fleet.errors import UserError
from fleet.folders import ledger_file, with_home
from fleet.ledger.journal import Ledger


def cancel(home: Path, experiment: str) -> str:
    """Tell the coordinator to stop as Ctrl-C would; return what was done."""
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
        hint = f"as that user: {with_home(f'fleet cancel {experiment}', home)}"
        raise UserError(what, hint) from None
    return f"{experiment} is stopping; finished trials are kept"
