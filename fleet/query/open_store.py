"""Opens results folders as one in-memory DuckDB, with the views that define every speed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn

import duckdb

from fleet.errors import StoreUnusable, check_store_path
from fleet.folders import with_home
from fleet.query.moments import ALL_IN_UTC
from fleet.query.views import (
    OWN_FILES,
    TABLES,
    files_of,
    fill_views,
    literal,
    one_file,
    tables_sql,
    union_of,
)

READ_AT_ONCE = ("trials", "requests")
"""The tables that every question needs; binding a table reads the footers of all its files."""

WITH_READINGS = (*READ_AT_ONCE, "readings")

MOST_THREADS = 4
MOST_NARROWED = 100
"""Attempts: of more the beginning of an id says too little."""

RAW = {table: f"raw_{table}" for table in TABLES}

Connection = duckdb.DuckDBPyConnection
Row = dict[str, object]


def open_store(
    folders: Sequence[Path], tables: Sequence[str] = READ_AT_ONCE, views: Sequence[str] = ()
) -> duckdb.DuckDBPyConnection:
    """Open the views over all folders; an attempt that lies in two folders counts once.

    `tables` not named are empty. `views`: only these, with what they are made of. Ask with
    `rows`. Raises StoreUnusable.
    """
    roots = generations(folders)
    con = duckdb.connect(config={"threads": min(MOST_THREADS, os.cpu_count() or 1)})
    try:
        con.execute(ALL_IN_UTC)
        _create_views(con, roots, tables, views)
    except duckdb.Error as problem:
        _raise_unusable(roots, problem)
    con.execute("create temp table roots (root varchar)")
    con.executemany("insert into roots values (?)", [[str(root)] for root in roots])
    return con


def open_empty(views: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """Open these views over tables without a row, for `take_attempt`.

    The optimizer is off: of a single attempt it takes longer than it spares.
    """
    con = duckdb.connect(config={"threads": 1})
    con.execute("pragma disable_optimizer")
    con.execute(tables_sql())
    con.execute(fill_views(RAW, views, energy=False, several_folders=False))
    con.execute("create temp table roots (root varchar)")
    return con


def take_attempt(con: duckdb.DuckDBPyConnection, folder: Path, attempt_id: str) -> bool:
    """Let the views of `open_empty` show this attempt alone, as soon as it is stored.

    That takes no longer in a large store. Return whether the attempt has files of its own, which
    a packer takes away. Raises StoreUnusable.
    """
    (root,) = generations([folder])
    if not (root / "trials" / f"{attempt_id}.parquet").is_file():
        return False
    try:
        for table in READ_AT_ONCE:
            con.execute(f"truncate {RAW[table]}")
            path = root / table / f"{attempt_id}.parquet"
            if path.is_file():
                source = one_file(str(path))
                con.execute(f"insert into {RAW[table]} by name select *, 0 as folder from {source}")
    except duckdb.Error as problem:
        _raise_unusable([root], problem)
    return True


def narrow_to_trials(con: duckdb.DuckDBPyConnection, tables: Sequence[str], prefix: str) -> None:
    """Show from here on only the trials whose id begins so, where there are any.

    A question about one trial then takes no longer in a large store than in a small one.
    """
    own = "starts_with(trial_id, ?) or starts_with(trial_id, 'trial-' || ?)"
    attempts = rows(con, f"select attempt_id from raw_trials where {own}", [prefix, prefix])
    ids = [str(row["attempt_id"]) for row in attempts[: MOST_NARROWED + 1]]
    if not 0 < len(ids) <= MOST_NARROWED:
        return
    listed = ", ".join(map(literal, ids))  # as text, so that DuckDB looks into fewer files
    for table in tables:
        source = f"from raw_{table} where attempt_id in ({listed})"
        rows(con, f"create temp table own_{table} as {source}")
    for table in tables:
        con.execute(f"create or replace temp view raw_{table} as from own_{table}")


def generations(folders: Sequence[Path]) -> list[Path]:
    """Return what `current` of each folder points to now, which a packer never changes."""
    if not folders:
        raise StoreUnusable("no results folder given", "give one with --store FOLDER")
    roots = []
    for folder in folders:
        check_store_path(str(Path(folder).resolve()))
        current = Path(folder) / "current"
        missing = [table for table in TABLES if not (current / table / "_schema.parquet").is_file()]
        if missing:
            raise StoreUnusable(
                f"{folder}: {_lacking(missing)}",
                f"measure first: {with_home('fleet submit gpt-oss:20b', Path(folder).parent)}, "
                "or name another folder with --home",
            )
        root = current.resolve()
        if root not in roots:
            roots.append(root)
    return roots


def rows(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] | None = None
) -> list[Row]:
    """Return the answer as dictionaries. Raises StoreUnusable with the file that is at fault."""
    try:
        return _answer(con, query, parameters)
    except duckdb.Error:
        roots = [Path(row[0]) for row in con.execute("select root from roots").fetchall()]
    try:  # an older file may lack a column: match them by name, and ask once more
        _match_by_name(con, roots)
        return _answer(con, query, parameters)
    except duckdb.Error as problem:
        _raise_unusable(roots, problem)


def has(con: duckdb.DuckDBPyConnection, column: Literal["role", "reason"], value: str) -> bool:
    """Return whether any attempt has this value; the files' statistics answer that at once."""
    return bool(rows(con, f"select 1 from raw_trials where {column} = ? limit 1", [value]))


def add_views(con: duckdb.DuckDBPyConnection, *views: str, **sources: str) -> None:
    """Add views that were left out when the store was opened.

    `sources`: a table expression to read a table from, for every question from now on.
    """
    [several] = con.execute("select count(*) > 1 from roots").fetchall()[0]
    con.execute(fill_views({**RAW, **sources}, views, several_folders=several))


def _answer(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] | None
) -> list[Row]:
    answer = con.execute(query, parameters)
    names = [column[0] for column in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _create_views(
    con: duckdb.DuckDBPyConnection,
    roots: Sequence[Path],
    tables: Sequence[str],
    views: Sequence[str],
) -> None:
    """Create the views over empty tables, then turn the tables into views over the files.

    Making a view binds it, and each binding would look at the files again.
    """
    con.execute(tables_sql())
    several = len(roots) > 1
    con.execute(fill_views(RAW, views, energy="readings" in tables, several_folders=several))
    for table in tables:
        con.execute(f"drop table raw_{table}")
        _create_raw(con, roots, table, by_name=False)


def _create_raw(
    con: duckdb.DuckDBPyConnection, roots: Sequence[Path], table: str, *, by_name: bool
) -> None:
    sources = []
    for root in roots:
        files = files_of(str(root), table, by_name=by_name)
        told_by = files if by_name else one_file(str(root / table / "_schema.parquet"))
        sources.append((files, _described(con, told_by)))
    con.execute(f"create or replace temp view raw_{table} as from {union_of(table, sources)}")


def _match_by_name(con: duckdb.DuckDBPyConnection, roots: Sequence[Path]) -> None:
    """Read every file by its own columns, null where one lacks. Raises duckdb.Error."""
    views = con.execute("select view_name from duckdb_views() where not internal").fetchall()
    for table in TABLES:
        if (f"raw_{table}",) in views:
            expected = _catalogued(con, table)
            _create_raw(con, roots, table, by_name=True)
            _check_columns(con, table, expected)


def _check_columns(con: duckdb.DuckDBPyConnection, table: str, expected: Mapping[str, str]) -> None:
    """Raise duckdb.Error for columns of another type, and for rows that are not ours."""
    columns = _catalogued(con, table)
    if any(columns[name] != kind for name, kind in expected.items()):
        raise duckdb.Error(f"{table}: a column changes its type from file to file")
    if columns.keys() != expected.keys():
        nameless = con.execute(f"from raw_{table} where attempt_id is null limit 1").fetchone()
        if nameless is not None:
            raise duckdb.Error(f"{table}: a row without attempt_id")


def _catalogued(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return columns as the catalog has them: binding the view again would look at the files."""
    described = con.execute(
        "select column_name, data_type from duckdb_columns() where table_name = ?",
        [f"raw_{table}"],
    )
    return dict(described.fetchall())


def _lacking(tables: Sequence[str]) -> str:
    if len(tables) == len(TABLES):
        return "no results here"
    return f"results without a table: current/{tables[0]}/_schema.parquet is not there"


def _raise_unusable(roots: Sequence[Path], problem: duckdb.Error) -> NoReturn:
    """Raise StoreUnusable with the file at fault, found by opening each one by itself."""
    for root in roots:
        for table in TABLES:
            expected = _columns(root / table / "_schema.parquet")
            for path in sorted((root / table).glob(OWN_FILES)):
                what = _fault(path, expected)
                if what:
                    raise StoreUnusable(
                        f"{path}: {what}",
                        "set it aside, then ask again: "
                        + with_home("fleet store repair", root.parents[1]),
                    ) from None
    raise StoreUnusable(f"the results cannot be read: {first_line(problem)}") from problem


def _fault(path: Path, expected: Mapping[str, str] | None) -> str:
    columns = _columns(path)
    if columns is None:
        return "no Parquet file, or cut short"
    if "attempt_id" not in columns:
        return "a Parquet file, but not one of fleet's: it has no column attempt_id"
    for name, kind in (expected or {}).items():
        if columns.get(name, kind) != kind:
            return f"not one of fleet's: {name} is {columns[name]}, not {kind}"
    return ""


def _columns(path: Path) -> dict[str, str] | None:
    """Return name and type of each column; None where the file cannot be read."""
    try:
        with duckdb.connect() as con:
            return _described(con, one_file(str(path)))
    except duckdb.Error:
        return None


def _described(con: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """Return name and type of each column of a table expression."""
    return {row[0]: row[1] for row in con.execute(f"describe from {source}").fetchall()}


def first_line(problem: BaseException) -> str:
    """Return DuckDB's message without the picture of the query; a `did you mean` stays."""
    lines = [line.strip() for line in str(problem).strip().splitlines() if line.strip()]
    hints = [line for line in lines[1:] if line.startswith(("Did you mean", "Candidate bindings"))]
    return " ".join(lines[:1] + hints[:1]) or type(problem).__name__
