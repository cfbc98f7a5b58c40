"""Opens results folders as one in-memory DuckDB, with the views that define every speed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from fleet.errors import StoreUnusable

HERE = Path(__file__).parent
TABLES = ("trials", "requests", "readings", "fingerprints", "answers")
READ_AT_ONCE = ("trials", "requests")
"""The tables that every question needs; binding a table reads the footers of all its files."""

MOST_THREADS = 4

Row = dict[str, object]


def views_sql(root: str = "current") -> str:
    """Text of `views.sql` for a plain DuckDB; `root` as seen from where that is started."""
    return fill_views({table: _union([root], table) for table in TABLES})


def fill_views(sources: Mapping[str, str]) -> str:
    """The views over the given table expressions; each has a column `folder`, a number."""
    text = (HERE / "views.sql").read_text()
    for table in TABLES:
        text = text.replace(f"{{{table}}}", sources[table])
    return text


def open_store(
    folders: Sequence[Path], tables: Sequence[str] = READ_AT_ONCE
) -> duckdb.DuckDBPyConnection:
    """All views over all folders; an attempt that lies in two folders counts once.

    `tables` not named are empty. Raises StoreUnusable.
    """
    roots = generations(folders)
    con = duckdb.connect(config={"threads": min(MOST_THREADS, os.cpu_count() or 1)})
    try:
        _create_views(con, roots, tables)
    except duckdb.Error as problem:
        _raise_unusable(roots, problem)
    con.execute("create temp table roots (root varchar)")
    con.executemany("insert into roots values (?)", [[str(root)] for root in roots])
    _refuse_foreign_trials(con)
    return con


def generations(folders: Sequence[Path]) -> list[Path]:
    """What `current` of each folder points to now: from here on a packer changes nothing."""
    if not folders:
        raise StoreUnusable("no results folder given", "give one with --store FOLDER")
    roots = []
    for folder in folders:
        current = Path(folder) / "current"
        missing = [table for table in TABLES if not (current / table / "_schema.parquet").is_file()]
        if missing:
            raise StoreUnusable(
                f"{folder}: no results here"
                if len(missing) == len(TABLES)
                else f"{folder}: no folder of results: current/{missing[0]}/_schema.parquet is not there",
                "measure first: fleet submit gpt-oss:20b, or name another folder with --store",
            )
        root = current.resolve()
        if root not in roots:
            roots.append(root)
    return roots


def rows(
    con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] | None = None
) -> list[Row]:
    """Answer as dictionaries; a file that cannot be read becomes StoreUnusable with its name."""
    try:
        answer = con.execute(query, parameters)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    except duckdb.Error as problem:
        roots = [Path(row[0]) for row in con.execute("select root from roots").fetchall()]
        _raise_unusable(roots, problem)


def question(name: str, **blanks: str) -> str:
    """Text of `questions/NAME.sql`; each {blank} takes SQL made by this package, never input."""
    text = (HERE / "questions" / f"{name}.sql").read_text()
    for blank, sql in blanks.items():
        text = text.replace(f"{{{blank}}}", sql)
    return text


def _create_views(
    con: duckdb.DuckDBPyConnection, roots: Sequence[Path], tables: Sequence[str]
) -> None:
    """Views are made over empty tables, then the tables become views over the files.

    Making a view binds it, and each binding would read all footers again.
    """
    for table in TABLES:
        schema = _literal(f"{_escaped(str(roots[0]))}/{table}/_schema.parquet")
        con.execute(
            f"create temp table raw_{table} as "
            f"select *, 0 as folder from read_parquet({schema}) limit 0"
        )
    con.execute(fill_views({table: f"raw_{table}" for table in TABLES}))
    for table in tables:
        con.execute(f"drop table raw_{table}")
        con.execute(f"create temp view raw_{table} as select * from {_union(map(str, roots), table)}")


def _union(roots: object, table: str) -> str:
    """All files of one table over all roots, as a table expression."""
    parts = [
        f"select *, {number} as folder from read_parquet("
        f"{_literal(f'{_escaped(root)}/{table}/*.parquet')}, union_by_name = true)"
        for number, root in enumerate(roots)  # type: ignore[call-overload]
    ]
    return f"({' union all by name '.join(parts)})"


def _escaped(path: str) -> str:
    """A path whose own `*`, `?` and `[` are no patterns."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _refuse_foreign_trials(con: duckdb.DuckDBPyConnection) -> None:
    nameless = rows(con, "select count(*) as n from raw_trials where attempt_id is null")
    if nameless[0]["n"]:
        roots = [Path(row[0]) for row in con.execute("select root from roots").fetchall()]
        _raise_unusable(roots, duckdb.Error("a row without attempt_id"))


def _raise_unusable(roots: Sequence[Path], problem: duckdb.Error) -> None:
    """Names the file at fault, found by opening each one by itself."""
    for root in roots:
        for table in TABLES:
            expected = _columns(root / table / "_schema.parquet")
            for path in sorted((root / table).glob("*.parquet")):
                what = _fault(path, expected)
                if what:
                    raise StoreUnusable(
                        f"{path}: {what}",
                        f"move it out of the folder, then ask again: mv {path} {path.name}.broken",
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
    """Name and type of each column; None where the file cannot be read."""
    try:
        described = duckdb.execute(f"describe from read_parquet({_literal(_escaped(str(path)))})")
        return {row[0]: row[1] for row in described.fetchall()}
    except duckdb.Error:
        return None


def first_line(problem: BaseException) -> str:
    """DuckDB's message without its candidates, hints and the picture of the query."""
    lines = [line.strip() for line in str(problem).strip().splitlines()]
    return next((line for line in lines if line), type(problem).__name__)
