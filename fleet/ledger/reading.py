"""Reads from the ledger what `fleet status` shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.errors import StoreUnusable
from fleet.ledger.rows import LeftOutRow, MachineRow, StateRow, SubmissionStatus, account_of
from fleet.model.account import Account
from fleet.model.experiment import Request

Alive = Callable[[str], bool]
"""Tells by its name whether an experiment has a living coordinator."""

IN_SESSION = "submission in (select id from submissions where experiment = ? and session = ?)"


def read_status(
    db: sqlite3.Connection, alive: Alive, experiment: str | None
) -> tuple[SubmissionStatus, ...]:
    """Return the latest submission of each experiment, or of the named one; newest first."""
    rows = db.execute(
        "select * from submissions where id in"
        " (select max(id) from submissions group by experiment)"
        " and (? is null or experiment = ?) order by id desc",
        (experiment, experiment),
    ).fetchall()
    return tuple(_status(db, row, alive(row["experiment"])) for row in rows)


@contextmanager
def readable(db: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """Raise StoreUnusable if the file cannot be read, such as one with a damaged page."""
    try:
        yield db
    except sqlite3.Error as problem:
        raise damaged(path, problem) from None


def damaged(path: Path, problem: sqlite3.Error) -> StoreUnusable:
    """Return the error for a ledger that SQLite refuses; results are not in it."""
    aside = f"mv {path} {path}.bad; rm -f {path}-*"
    return StoreUnusable(
        f"{path}: the ledger cannot be read: {problem}",
        f"results are not in it; set it aside, and the next submit begins a new one: {aside}",
    )


def read_last_session(db: sqlite3.Connection, experiment: str) -> int:
    """Return the session of the latest submission; 0 if there is none."""
    return int(next(iter(_of_submissions(db, "session", experiment)), 0))


def read_commands(db: sqlite3.Connection, experiment: str) -> list[str]:
    """Return the command of each submission, the newest first."""
    return _of_submissions(db, "command", experiment)


def read_machines_of(
    db: sqlite3.Connection, experiment: str, session: int
) -> list[tuple[str, str, bool]]:
    """Return name, id and participation in this session of each machine."""
    rows = db.execute(
        "select machine, machine_id, max(s.session = ?) as now from trials t"
        " join submissions s on s.id = t.submission"
        " where t.experiment = ? group by machine, machine_id order by machine",
        (session, experiment),
    ).fetchall()
    return [(str(row["machine"]), str(row["machine_id"]), bool(row["now"])) for row in rows]


def read_request(db: sqlite3.Connection, experiment: str) -> Request | None:
    """Return the request as it was last submitted; None if this version cannot read it."""
    request = next(iter(_of_submissions(db, "request", experiment)), None)
    try:
        return None if request is None else Request.model_validate_json(request)
    except ValueError:
        return None


def read_coordinator(db: sqlite3.Connection, experiment: str) -> int | None:
    """Return the process of the latest submission; None if there is none."""
    pid = next(iter(_of_submissions(db, "pid", experiment)), None)
    return None if pid is None else int(pid)


def _of_submissions(db: sqlite3.Connection, column: str, experiment: str) -> list[Any]:
    """Return a column of each submission of this experiment, the newest first."""
    order = "where experiment = ? order by id desc"
    rows = db.execute(f"select {column} from submissions {order}", (experiment,))
    return [row[column] for row in rows]


def read_promised(db: sqlite3.Connection, alive: Alive, submission: int) -> dict[str, str]:
    """Return the machines for which an earlier submission waits, with the words for it."""
    rows = db.execute(
        "select s.experiment, m.machine from submissions s join machines m on m.submission = s.id"
        " where s.id < ? and s.ended_unix_s is null and s.state = 'waiting'"
        " and m.state in ('busy', 'planned') order by s.id",
        (submission,),
    ).fetchall()
    promised: dict[str, str] = {}
    for row in rows:
        if alive(row["experiment"]):
            words = f"{row['machine']} is reserved for {row['experiment']}, which came first"
            promised.setdefault(row["machine"], words)
    return promised


def read_account(db: sqlite3.Connection, submission: int) -> Account:
    """Return what became of the trials that this submission requested, and of no others."""
    row = db.execute("select trials_asked from submissions where id = ?", (submission,)).fetchone()
    states = _states(db, "submission = ?", (submission,))
    return account_of(row["trials_asked"], states, _left_out(db, submission))


def _status(db: sqlite3.Connection, row: sqlite3.Row, alive: bool) -> SubmissionStatus:
    session = (row["experiment"], row["session"])
    before = db.execute(
        f"select count(*) from trials where {IN_SESSION} and submission != ? and role != 'canary'",
        (*session, row["id"]),
    ).fetchone()
    columns = ("experiment", "session", "submitted_unix_s", "ended_unix_s", "outcome", "state")
    texts = ("reason", "submitter", "command", "log", "trials_asked")
    return SubmissionStatus(
        **{name: row[name] for name in (*columns, *texts)},
        alive=alive,
        states=_states(db, IN_SESSION, session),
        left_out=_left_out(db, row["id"]),
        machines=_machines(db, row["id"]),
        trials_before=int(before[0]),
    )


def _states(
    db: sqlite3.Connection, which: str, parameters: tuple[str | int, ...]
) -> tuple[StateRow, ...]:
    rows = db.execute(
        "select machine, state, reason, count(*) as trials, sum(estimate_s) as estimate_s,"
        " max(changed_unix_s) as changed_unix_s, model || '  ' || job || '  ' || settings"
        f" as example, role = 'canary' as canary from trials where {which}"
        " group by machine, role = 'canary', state, reason order by machine, state, reason",
        parameters,
    )
    return tuple(StateRow(**{**dict(row), "canary": bool(row["canary"])}) for row in rows)


def _left_out(db: sqlite3.Connection, submission: int) -> tuple[LeftOutRow, ...]:
    rows = db.execute(
        "select machine, what, clause, hint, trials, by_choice from left_out where submission = ?",
        (submission,),
    )
    return tuple(LeftOutRow(**{**dict(row), "by_choice": bool(row["by_choice"])}) for row in rows)


def _machines(db: sqlite3.Connection, submission: int) -> tuple[MachineRow, ...]:
    rows = db.execute(
        "select machine, machine_id, state, reason, hint from machines where submission = ?"
        " order by machine",
        (submission,),
    )
    return tuple(MachineRow(**dict(row)) for row in rows)
