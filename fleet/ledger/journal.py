"""The queue in SQLite: it is written before any machine is taken, and `fleet status` reads it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fleet.errors import StoreUnusable
from fleet.folders import with_home
from fleet.ledger.locks import Coordinating
from fleet.ledger.opening import open_ledger
from fleet.ledger.reading import (
    damaged,
    read_account,
    read_commands,
    read_coordinator,
    read_last_session,
    read_machines_of,
    read_promised,
    read_request,
    read_status,
    readable,
)
from fleet.ledger.rows import LeftOutRow, MachineRow, Origin, SubmissionState, SubmissionStatus
from fleet.model.account import Account
from fleet.model.experiment import Request
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, Trial, show_settings
from fleet.plan.entries import QueueEntry

PUT_TRIAL = """
insert into trials values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
on conflict (trial_id) do update set
  submission = excluded.submission,
  machine = excluded.machine,
  position = excluded.position,
  estimate_s = excluded.estimate_s,
  fence = excluded.fence,
  changed_unix_s = iif(state = excluded.state, changed_unix_s, excluded.changed_unix_s),
  reason = iif(
    state = excluded.state and state in ('done', 'failed'), reason, excluded.reason
  ),
  state = excluded.state
"""
"""A trial that was measured before keeps its date and its reason."""


class Ledger:
    """One SQLite file with many readers and one coordinator for each experiment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._coordinating = Coordinating(path.parent / "running")
        self._db = open_ledger(path)

    def begin(self, request: Request, session: int = 0, origin: Origin = Origin()) -> int:  # noqa: B008
        """Record a new submission and return its number.

        Raises StoreUnusable while another submission runs the same experiment.
        """
        name = request.experiment.name
        if not self._coordinating.take(name):
            home = self.path.parent
            status, cancel = (with_home(f"fleet {do} {name}", home) for do in ("status", "cancel"))
            raise StoreUnusable(f"{name} is being measured already", f"{status}    or    {cancel}")
        with self._transaction():
            row = self._db.execute(
                "insert into submissions (experiment, session, request, pid, submitted_unix_s,"
                " state, submitter, command, log) values (?, ?, ?, ?, ?, 'starting', ?, ?, ?)"
                " returning id",
                (
                    name,
                    session,
                    request.model_dump_json(),
                    os.getpid(),
                    time.time(),
                    origin.submitter,
                    origin.command,
                    origin.log,
                ),
            ).fetchone()
        return int(row["id"])

    def enter(self, submission: int, state: SubmissionState, reason: str = "") -> None:
        """Record the state of a submission, and the reason for it."""
        with self._transaction():
            self._db.execute(
                "update submissions set state = ?, reason = ? where id = ?",
                (state, reason, submission),
            )

    def put_machines(self, submission: int, rows: Iterable[MachineRow]) -> None:
        """Record what is known of these machines now; the rows of other machines stay."""
        now = time.time()
        values = [
            (submission, r.machine, r.machine_id, r.state, r.reason, r.hint, now) for r in rows
        ]
        with self._transaction():
            self._db.executemany("insert or replace into machines values (?,?,?,?,?,?,?)", values)

    def ask(
        self, submission: int, session: int, trials_asked: int, entries: Iterable[QueueEntry]
    ) -> None:
        """Record every requested trial with its state; `trials_asked` counts them independently.

        Trials that are left out as a whole cell are no entries: see `leave_out`.
        """
        with self._transaction():
            self._db.execute(
                "update submissions set session = ?, trials_asked = ?, state = 'preparing',"
                " reason = '' where id = ?",
                (session, trials_asked, submission),
            )
            self._put(submission, entries)

    def enqueue(self, submission: int, attempts: Iterable[Attempt]) -> None:
        """Queue attempts, durable on return: each will run, or its row will say why it did not."""
        entries = [
            QueueEntry(trial=each.trial, state="queued", fence=each.fence) for each in attempts
        ]
        with self._transaction():
            self._put(submission, entries)

    def leave_out(self, submission: int, experiment: str, rows: Iterable[LeftOutRow]) -> None:
        """Record the cells that no plan holds, with the reasons."""
        with self._transaction():
            self._db.executemany(
                "insert into left_out values (?,?,?,?,?,?,?,?)",
                [
                    (
                        submission,
                        experiment,
                        row.machine,
                        row.what,
                        row.clause,
                        row.hint,
                        row.trials,
                        row.by_choice,
                    )
                    for row in rows
                ],
            )

    def running(self, attempt: Attempt) -> None:
        """Record that an attempt began."""
        self._set((attempt.trial.trial_id,), "running", fence=attempt.fence)

    def held(self, attempt: Attempt, why: str) -> None:
        """Record why an attempt waits from now on."""
        with self._transaction():
            self._db.execute(
                "update trials set reason = ?, changed_unix_s = ?"
                " where trial_id = ? and state = 'queued'",
                (why, time.time(), attempt.trial.trial_id),
            )

    def finished(self, result: TrialResult) -> None:
        """Record how an attempt ended."""
        state = {"ok": "done", "failed": "failed", "cancelled": "cancelled"}[result.outcome]
        reason = f"{result.reason}: {result.detail}" if result.reason else ""
        self._set((result.trial.trial_id,), state, reason)

    def not_needed(self, trial_ids: Iterable[str], reason: str) -> None:
        """Record that these trials are no longer needed."""
        self._set(tuple(trial_ids), "not needed", reason)

    def cancel_waiting(
        self,
        submission: int,
        reason: str,
        machine_id: str | None = None,
        model: str | None = None,
    ) -> None:
        """Record that what is queued or running was not measured; a new submit repeats it."""
        with self._transaction():
            self._db.execute(
                "update trials set state = 'cancelled', reason = ?, changed_unix_s = ?"
                " where submission = ? and state in ('queued', 'running')"
                " and coalesce(?, machine_id) = machine_id and coalesce(?, model) = model",
                (reason, time.time(), submission, machine_id, model),
            )

    def end(self, submission: int, outcome: str, reason: str = "") -> None:
        """Record the end of a submission and free its experiment."""
        with self._transaction():
            self._db.execute(
                "update submissions set ended_unix_s = ?, outcome = ?, state = 'ended', reason = ?"
                " where id = ?",
                (time.time(), outcome, reason, submission),
            )
        self._coordinating.release()

    def last_session(self, experiment: str) -> int:
        """Return the session of the latest submission; 0 if there is none."""
        with self._reading() as db:
            return read_last_session(db, experiment)

    def machines_of(self, experiment: str, session: int) -> list[tuple[str, str, bool]]:
        """Return name, id and participation in this session of each machine of the experiment."""
        with self._reading() as db:
            return read_machines_of(db, experiment, session)

    def request(self, experiment: str) -> Request | None:
        """Return the experiment with its jobs as it was last submitted.

        None: it never was, or a fleet submitted it whose words this version does not know.
        """
        with self._reading() as db:
            return read_request(db, experiment)

    def commands(self, experiment: str) -> list[str]:
        """Return the command of each submission of this experiment, the newest first."""
        with self._reading() as db:
            return read_commands(db, experiment)

    def coordinator(self, experiment: str) -> int | None:
        """Return the process id of the coordinator that runs this experiment now, if one does."""
        if not self._coordinating.held_by_another(experiment):
            return None
        with self._reading() as db:
            return read_coordinator(db, experiment)

    def status(self, experiment: str | None = None) -> tuple[SubmissionStatus, ...]:
        """Return the latest session of each experiment, or of the named one; newest first."""
        with self._reading() as db:
            return read_status(db, self._coordinating.held_by_another, experiment)

    def account(self, submission: int) -> Account:
        """Return what became of every trial that the submission requested."""
        with self._reading() as db:
            return read_account(db, submission)

    def promised(self, submission: int) -> dict[str, str]:
        """Return the machines for which an earlier submission waits, with the words for it."""
        with self._reading() as db:
            return read_promised(db, self._coordinating.held_by_another, submission)

    def close(self) -> None:
        """Close the file and free the experiments that this process runs."""
        self._db.close()
        self._coordinating.release()

    def _put(self, submission: int, entries: Iterable[QueueEntry]) -> None:
        now = time.time()
        self._db.executemany(PUT_TRIAL, [_trial_row(submission, each, now) for each in entries])

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

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return readable(self._db, self.path)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all or nothing; raises StoreUnusable if the file cannot be written."""
        try:
            self._db.execute("begin immediate")
            yield
            self._db.execute("commit")
        except sqlite3.Error as problem:
            hint = f"see what is full: df -h {self.path.parent}; then type the same command again"
            if not isinstance(problem, sqlite3.OperationalError):
                raise damaged(self.path, problem) from None
            what = f"{self.path}: the ledger cannot be written: {problem}"
            raise StoreUnusable(what, hint) from None
        finally:
            if self._db.in_transaction:
                self._db.execute("rollback")


def _trial_row(submission: int, entry: QueueEntry, now: float) -> tuple[object, ...]:
    trial: Trial = entry.trial
    return (
        trial.trial_id,
        submission,
        trial.experiment,
        trial.machine_id,
        trial.machine,
        trial.model,
        trial.job.name,
        show_settings(trial.settings),
        trial.block,
        trial.position,
        trial.estimate_s,
        *(entry.state, entry.fence, entry.reason),
        now,
        trial.role,
    )
