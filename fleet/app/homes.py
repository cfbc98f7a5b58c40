"""One home: the store with its results, the ledger with its queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.compare.views import views_sql
from fleet.ledger.journal import Ledger
from fleet.model.experiment import Request
from fleet.plan.spellings import as_before
from fleet.ports import PastAttempt
from fleet.store.parquet import ParquetStore
from fleet.wiring import ledger_file, results_folder


class Home:
    """Opens what is there; only writing makes anything."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        views = "" if read_only else views_sql()
        self.store = ParquetStore(results_folder(folder), views_sql=views, read_only=read_only)

    def ledger(self) -> Ledger:
        return Ledger(ledger_file(self.folder))

    def attempts(self, request: Request) -> Sequence[PastAttempt]:
        return self.store.attempts(request.experiment.name)

    def as_before(self, request: Request) -> Request:
        """The request with the spellings that its earlier trials here have."""
        name = request.experiment.name
        stored = self.store.models(name)
        return as_before(request, {name: stored} if stored else self.store.models_by_experiment())

    def past_seconds(self, request: Request) -> Mapping[tuple[str, str, str, str], float]:
        return self.store.past_seconds(request.experiment.name)

    def session(self, request: Request, *, again: bool) -> int:
        """The session to measure in: the latest, or with --again a new one."""
        last = self.store.last_session(request.experiment.name)
        if last is None:
            return 0
        return last + 1 if again else last
