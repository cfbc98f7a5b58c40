"""Makes the text of the views, for a plain DuckDB and for our own readers. Imports no DuckDB."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path

from fleet import comparability
from fleet.metrics.thresholds import IN_SQL
from fleet.model.settings import SETTINGS

HERE = Path(__file__).parent
_STATEMENT = re.compile(r"(?=^create or replace (?:view|macro) )", re.MULTILINE)
_MADE = re.compile(r"create or replace (?:view|macro) (\w+)")
_USED = re.compile(r"\b(?:from|join)\s+(\w+)|\b(\w+)\(")
_BLANK = re.compile(r"{(\w+)}")
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"--[^\n]*")
_TABLE = re.compile(r"^create or replace temp table raw_(\w+) \((.*?)^\);", re.M | re.S)
_COLUMN = re.compile(r"^  (\w+) (.+?),?$", re.MULTILINE)
_SQL_TYPES = {"integer": "bigint", "real": "double", "boolean": "boolean", "text": "varchar"}
_COLUMNS_ARE_OURS = "hive_partitioning = false"
"""Else a folder called `model=x` above the files would say what their column `model` holds."""

OWN_FILES = "[!.]*.parquet"
"""Not the `._*` files that macOS leaves on foreign file systems."""

ASKS_FOR_ALL = frozenset({"show", "describe", "summarize", "pragma", "information_schema"})

TABLES = ("trials", "requests", "readings", "fingerprints", "answers")


def views_sql(root: str = "current") -> str:
    """Return `views.sql` for a plain DuckDB; `root` as seen from where that is started."""
    sources = {t: union_of(t, [(files_of(root, t), columns_of(t))]) for t in TABLES}
    return fill_views(sources, several_folders=False)


def fill_views(
    sources: Mapping[str, str],
    wanted: Collection[str] = (),
    *,
    energy: bool = True,
    several_folders: bool = True,
) -> str:
    """Fill the views with the given table expressions; each has a column `folder`, a number.

    `wanted`: only these and what they are made of, since each takes milliseconds to bind; those
    of `energy` take a tenth of a second, and few questions ask for them. `several_folders`: false
    spares the search for copies.
    """
    names = ("views.sql", "energy.sql") if energy else ("views.sql",)
    text = "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
    if wanted:
        text = _only(text, wanted)
    text = text.replace("{several_folders}", str(several_folders).lower())
    text = _with_tables(text)
    for table in TABLES:
        text = text.replace(f"{{{table}}}", sources[table])
    return text


def _only(text: str, wanted: Collection[str]) -> str:
    """Keep the statements that make these views, and those that make what they name.

    A view names only views that stand before it.
    """
    kept, needed = list[str](), set(wanted)
    for statement in reversed(_STATEMENT.split(text)):
        made = _MADE.match(statement)
        if made is None or made[1] in needed:
            kept.append(statement)
            needed |= {name for pair in _USED.findall(_COMMENT.sub("", statement)) for name in pair}
    return "".join(reversed(kept))


def views_named_in(query: str) -> list[str]:
    """Return the views that a query names; none where it may ask for the list of all of them."""
    words = set(_WORD.findall(query.lower()))
    if words & ASKS_FOR_ALL or any(word.startswith("duckdb_") for word in words):
        return []
    text = "".join(
        (HERE / name).read_text(encoding="utf-8") for name in ("views.sql", "energy.sql")
    )
    return [name for name in _MADE.findall(text) if name in words]


def question(name: str, **blanks: str) -> str:
    """Return `questions/NAME.sql`; each {blank} takes SQL made by this package, never input."""
    text = (HERE / "questions" / f"{name}.sql").read_text(encoding="utf-8")
    for blank, sql in blanks.items():
        text = text.replace(f"{{{blank}}}", sql)
    return _with_tables(text)


def _with_tables(text: str) -> str:
    """Fill what SQL shares with Python: the columns that are never pooled, and the thresholds."""
    columns = {
        "pooling_key": [column.name for column in comparability.POOLING_KEY],
        "measured_again": [column.name for column in comparability.measured_again()],
        "facts": comparability.fact_columns(),
    }
    blanks = {name: ", ".join(names) for name, names in columns.items()}
    blanks |= {name: f"{value:.12g}" for name, value in IN_SQL.items()}
    return _BLANK.sub(lambda match: blanks.get(match[1], match[0]), text)


def tables_sql() -> str:
    """Return the SQL that makes the five tables without a row, each with the column `folder`."""
    tables = ((table, {**columns_of(table), "folder": "integer"}) for table in TABLES)
    return "".join(
        f"create or replace temp table raw_{table} ({', '.join(map(' '.join, columns.items()))});\n"
        for table, columns in tables
    )


def columns_of(table: str) -> dict[str, str]:
    """Return the type of each column of a table, as the newest fleet writes it."""
    return _columns()[table]


@cache
def _columns() -> dict[str, dict[str, str]]:
    made = _TABLE.findall((HERE / "tables.sql").read_text(encoding="utf-8"))
    tables = {table: dict(_COLUMN.findall(columns)) for table, columns in made}
    tables["trials"] |= {each.name: _SQL_TYPES[each.column] for each in SETTINGS.values()}
    return tables


def files_of(root: str, table: str, *, by_name: bool = True) -> str:
    """Return all files of one table below one root, as a table expression.

    By name, the footer of every file is read to find its columns. Else all are taken to have
    those of the first file, which holds the newest schema of that folder, and a query ends with an
    error where an older file lacks a column that it asks for.
    """
    option = f", {_COLUMNS_ARE_OURS}" + (", union_by_name = true" if by_name else "")
    return f"read_parquet({_files(root, table)}{option})"


def one_file(path: str) -> str:
    """Return one file as a table expression."""
    return f"read_parquet({literal(escaped(path))}, {_COLUMNS_ARE_OURS})"


def _files(root: str, table: str) -> str:
    schema, every = (
        literal(f"{escaped(root)}/{table}/{files}") for files in ("_schema.parquet", OWN_FILES)
    )
    return f"[{schema}, {every}]"


def union_of(table: str, sources: Iterable[tuple[str, Collection[str]]]) -> str:
    """Unite table expressions, each given with its columns; what one lacks is null."""
    parts = []
    for number, (source, columns) in enumerate(sources):
        lacking = {n: kind for n, kind in columns_of(table).items() if n not in columns}
        nulls = "".join(f", null::{kind} as {name}" for name, kind in lacking.items())
        parts.append(f"select *{nulls}, {number} as folder from {source}")
    return f"({' union all by name '.join(parts)})"


def escaped(path: str) -> str:
    """Return a path whose own `*`, `?` and `[` are no patterns."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
