"""How far each experiment is, as the ledger says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fleet.errors import UnknownName
from fleet.folders import ledger_file, with_home
from fleet.ledger.journal import Ledger
from fleet.ledger.rows import SubmissionStatus


def status(home: Path, experiment: str | None) -> tuple[SubmissionStatus, ...]:
    """Return the newest first; raise UnknownName for an experiment never submitted here."""
    statuses: tuple[SubmissionStatus, ...] = ()
    experiments: list[str] = []
    if ledger_file(home).exists():
        with closing(Ledger(ledger_file(home))) as ledger:
            statuses = ledger.status(experiment)
            experiments = [each.experiment for each in ledger.status()]
    if experiment is not None and not statuses:
        hint = with_home("fleet submit gpt-oss:20b", home)
        if experiments:
            listing = with_home("fleet status", home)
            hint = f"{listing}    submitted experiments: {', '.join(experiments)}"
        raise UnknownName(f"{experiment} was never submitted here", hint)
    return statuses
