"""How far each experiment is, as its ledger says."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fleet.errors import UnknownName
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
