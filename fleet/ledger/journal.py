"""The queue in SQLite: durable before anything is dispatched, and what `fleet status` reads."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fleet.errors import StoreUnusable
from fleet.model.experiment import Request
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, show_settings

WAIT_FOR_LOCK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutRow:
    """Something of the plan that cannot be run, the clause that forbids it, and the mend."""

    machine: str
    what: str
    clause: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """How many trials of a machine are in one state for one reason."""

    machine: str
    state: str
    reason: str
    trials: int
    estimate_s: float
    changed_unix_s: float
    example: str
    """Model, job and settings of the latest of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionStatus:
    experiment: str
    session: int
    submitted_unix_s: float
    ended_unix_s: float | None
    outcome: str | None
    alive: bool
    """Its coordinator still runs on this machine."""
    states: tuple[StateRow, ...]
    left_out: tuple[LeftOutRow, ...]


class Ledger:
    """One SQLite file; several readers, one coordinator per experiment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._coordinating = _Coordinating(path.parent / "running")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _opened(path)
        except (OSError, sqlite3.DatabaseError) as problem:
            mend = f"choose another folder with --store, or move {path} away"
            raise StoreUnusable(f"{path}: the ledger cannot be opened: {problem}", mend) from None

    def begin(self, request: Request, session: int) -> int:
        """A new submission, its number; refuses while another runs the same experiment."""
        name = request.experiment.name
        if not self._coordinating.take(name):
            raise StoreUnusable(
                f"{name} is being measured already",
                f"fleet status {name}    or    fleet cancel {name}",
            )
        with self._transaction():
            row = self._db.execute(
                "insert into submissions (experiment, session, request, pid, submitted_unix_s)"
                " values (?, ?, ?, ?, ?) returning id",
                (name, session, request.model_dump_json(), os.getpid(), time.time()),
            ).fetchone()
        return int(row["id"])

    def enqueue(self, submission: int, attempts: Iterable[Attempt]) -> None:
        """Durable on return: what is queued here will run, or say why it did not."""
        now = time.time()
        with self._transaction():
            self._db.executemany(
                "insert or replace into trials values (?,?,?,?,?,?,?,?,?,?,?,'queued',?,'',?)",
                [
                    (
                        attempt.trial.trial_id,
                        submission,
                        attempt.trial.experiment,
                        attempt.trial.machine_id,
                        attempt.trial.machine,
                        attempt.trial.model,
                        attempt.trial.job.name,
                        show_settings(attempt.trial.settings),
                        attempt.trial.block,
                        attempt.trial.position,
                        attempt.trial.estimate_s,
                        attempt.fence,
                        now,
                    )
                    for attempt in attempts
                ],
            )

    def leave_out(self, submission: int, experiment: str, rows: Iterable[LeftOutRow]) -> None:
        with self._transaction():
            self._db.executemany(
                "insert into left_out values (?,?,?,?,?,?)",
                [(submission, experiment, r.machine, r.what, r.clause, r.mend) for r in rows],
            )

    def running(self, attempt: Attempt) -> None:
        self._set((attempt.trial.trial_id,), "running", fence=attempt.fence)

    def held(self, attempt: Attempt, why: str) -> None:
        """It waits, for this reason, from now on."""
        with self._transaction():
            self._db.execute(
                "update trials set reason = ?, changed_unix_s = ?"
                " where trial_id = ? and state = 'queued'",
                (why, time.time(), attempt.trial.trial_id),
            )

    def finished(self, result: TrialResult) -> None:
        state = {"ok": "done", "failed": "failed", "cancelled": "cancelled"}[result.outcome]
        reason = f"{result.reason}: {result.detail}" if result.reason else ""
        self._set((result.trial.trial_id,), state, reason)

    def not_needed(self, trial_ids: Iterable[str], reason: str) -> None:
        self._set(tuple(trial_ids), "not needed", reason)

    def cancel_waiting(self, submission: int, reason: str, machine_id: str | None = None) -> None:
        """Whatever is queued or running has not been measured; a new submit asks it again."""
        with self._transaction():
            self._db.execute(
                "update trials set state = 'cancelled', reason = ?, changed_unix_s = ?"
                " where submission = ? and state in ('queued', 'running')"
                " and (? is null or machine_id = ?)",
                (reason, time.time(), submission, machine_id, machine_id),
            )

    def end(self, submission: int, outcome: str) -> None:
        with self._transaction():
            self._db.execute(
                "update submissions set ended_unix_s = ?, outcome = ? where id = ?",
                (time.time(), outcome, submission),
            )
        self._coordinating.release()

    def coordinator(self, experiment: str) -> int | None:
        """Process id of the coordinator that runs this experiment now, if one does."""
        if not self._coordinating.held_by_another(experiment):
            return None
        row = self._db.execute(
            "select pid from submissions where experiment = ? order by id desc limit 1",
            (experiment,),
        ).fetchone()
        return None if row is None else int(row["pid"])

    def status(self, experiment: str | None = None) -> tuple[SubmissionStatus, ...]:
        """The latest session of each experiment, or of the one named; newest first."""
        rows = self._db.execute(
            "select * from submissions where id in"
            " (select max(id) from submissions group by experiment)"
            " and (? is null or experiment = ?) order by id desc",
            (experiment, experiment),
        ).fetchall()
        return tuple(self._status_of(row) for row in rows)

    def close(self) -> None:
        self._db.close()
        self._coordinating.release()

    def _status_of(self, row: sqlite3.Row) -> SubmissionStatus:
        states = self._db.execute(
            "select machine, state, reason, count(*) as trials, sum(estimate_s) as estimate_s,"
            " max(changed_unix_s) as changed_unix_s, model || '  ' || job || '  ' || settings"
            " as example from trials where submission in"
            " (select id from submissions where experiment = ? and session = ?)"
            " group by machine, state, reason order by machine, state, reason",
            (row["experiment"], row["session"]),
        )
        left_out = self._db.execute(
            "select machine, what, clause, mend from left_out where submission = ?", (row["id"],)
        )
        return SubmissionStatus(
            experiment=row["experiment"],
            session=row["session"],
            submitted_unix_s=row["submitted_unix_s"],
            ended_unix_s=row["ended_unix_s"],
            outcome=row["outcome"],
            alive=self._coordinating.held_by_another(row["experiment"]),
            states=tuple(StateRow(**dict(state)) for state in states),
            left_out=tuple(LeftOutRow(**dict(left)) for left in left_out),
        )

    def _set(
        self, trial_ids: tuple[str, ...], state: str, reason: str = "", fence: int | None = None
    ) -> None:
        now = time.time()
        with self._transaction():
            self._db.executemany(
                "update trials set state = ?, reason = ?, changed_unix_s = ?,"
                " fence = coalesce(?, fence) where trial_id = ?",
                [(state, reason, now, fence, trial_id) for trial_id in trial_ids],
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; raises StoreUnusable where the file cannot be written."""
        try:
            self._db.execute("begin immediate")
            yield
            self._db.execute("commit")
        except sqlite3.Error as problem:
            mend = f"see what is full: df -h {self.path.parent}; then type the same command again"
            what = f"{self.path}: the ledger cannot be written: {problem}"
            raise StoreUnusable(what, mend) from None
        finally:
            if self._db.in_transaction:
                self._db.execute("rollback")


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=WAIT_FOR_LOCK_S, isolation_level=None)
    try:
        db.row_factory = sqlite3.Row
        db.execute("pragma journal_mode = wal")
        db.executescript(files("fleet.ledger").joinpath("schema.sql").read_text())
    except BaseException:
        db.close()
        raise
    return db


class _Coordinating:
    """One lock file per experiment; the kernel frees it when its coordinator dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, experiment: str) -> bool:
        self._folder.mkdir(exist_ok=True)
        handle = os.open(self._folder / f"{experiment}.lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._held[experiment] = handle
        return True

    def release(self) -> None:
        for handle in self._held.values():
            os.close(handle)
        self._held.clear()

    def held_by_another(self, experiment: str) -> bool:
        if experiment in self._held or not (self._folder / f"{experiment}.lock").exists():
            return False
        free = self.take(experiment)
        if free:
            os.close(self._held.pop(experiment))
        return not free
