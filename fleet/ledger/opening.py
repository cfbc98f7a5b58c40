"""Opens the file of the ledger: creates it, or migrates it to the version that this fleet writes.

Versions (`pragma user_version`; 0 is a new file, or version 1, which did not set it):
1  submissions, trials, left_out (2026-11)
2  a submission is written before it is planned, with its state, its reason and its submitter; its
   machines; every requested trial has a row, canaries are marked (2026-11)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from fleet.durable import make_private
from fleet.errors import StoreUnusable

VERSION = 2
WAIT_FOR_LOCK_S = 10.0


def open_ledger(path: Path) -> sqlite3.Connection:
    """Return the open ledger; raises StoreUnusable for no ledger, or one of a newer fleet."""
    try:
        make_private(path.parent)
        path.touch(mode=0o600)
        db = sqlite3.connect(path, timeout=WAIT_FOR_LOCK_S, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("pragma journal_mode = wal")
            _migrate(db, path)
        except BaseException:
            db.close()
            raise
    except (OSError, sqlite3.DatabaseError) as problem:
        hint = f"choose another folder with --home, or move {path} away"
        raise StoreUnusable(f"{path}: the ledger cannot be opened: {problem}", hint) from None
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    """Migrate in one transaction, so that of two commands that start at once only one does it."""
    if _version(db) == VERSION:
        return
    db.execute("begin immediate")
    try:
        version = _version(db)
        if version > VERSION:
            what = f"{path}: the ledger was written by a newer fleet"
            raise StoreUnusable(what, "install that version here as well")
        if version < VERSION:
            old = db.execute("select 1 from sqlite_master where name = 'submissions'").fetchone()
            for statement in _statements("from_1.sql" if old else "schema.sql"):
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")
        db.execute("commit")
    finally:
        if db.in_transaction:
            db.execute("rollback")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("pragma user_version").fetchone()[0])


def _statements(name: str) -> Iterator[str]:
    """Yield the statements one by one: `executescript` would end the transaction."""
    text = ""
    for line in files("fleet.ledger").joinpath(name).read_text().splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
