"""One home: the results and the queue."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.durable import create
from fleet.folders import HOME_ID, home_id, ledger_file, results_folder
from fleet.ledger.journal import Ledger
from fleet.model.experiment import Request
from fleet.plan.spellings import as_before
from fleet.ports import PastAttempt

if TYPE_CHECKING:  # a plan alone does not need Parquet
    from fleet.store.parquet import ParquetStore


class Home:
    """Opens what exists; only writing creates anything."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """Raise StoreUnusable at once if results are to be kept and cannot be."""
        self.folder = folder
        self._read_only = read_only
        if not read_only:
            _ = self.store
            if not home_id(folder):
                create(folder / HOME_ID, f"{secrets.token_hex(8)}\n".encode())

    @cached_property
    def store(self) -> ParquetStore:
        """The results of this home."""
        from fleet.query.views import views_sql
        from fleet.store.parquet import ParquetStore

        views = "" if self._read_only else views_sql()
        folder = results_folder(self.folder)
        return ParquetStore(folder, views_sql=views, read_only=self._read_only)

    def ledger(self) -> Ledger:
        """Open the queue of this home."""
        return Ledger(ledger_file(self.folder))

    def attempts(self, request: Request) -> Sequence[PastAttempt]:
        """Return the attempts of the experiment that are stored."""
        return self.store.attempts(request.experiment.name)

    def as_before(self, request: Request) -> Request:
        """Return the request with the spellings of its earlier trials here."""
        name = request.experiment.name
        stored = self.store.models(name)
        return as_before(request, {name: stored} if stored else self.store.models_by_experiment())

    def past_seconds(self, request: Request) -> Mapping[tuple[str, str, str, str], float]:
        """Return how long the cells of the experiment took before."""
        return self.store.past_seconds(request.experiment.name)

    def session(self, request: Request, *, again: bool) -> int:
        """Return the session to measure in: the latest, or with --again a new one."""
        last = self.store.last_session(request.experiment.name)
        if last is None:
            return 0
        return last + 1 if again else last
