"""The text of the views, for a plain DuckDB and for our own readers. Imports no DuckDB."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
_STATEMENT = re.compile(r"(?=^create or replace (?:view|macro) )", re.MULTILINE)
_MADE = re.compile(r"create or replace (?:view|macro) (\w+)")
_USED = re.compile(r"\b(?:from|join)\s+(\w+)|\b(\w+)\(")
_COMMENT = re.compile(r"--[^\n]*")

TABLES = ("trials", "requests", "readings", "fingerprints", "answers")


def views_sql(root: str = "current") -> str:
    """Text of `views.sql` for a plain DuckDB; `root` as seen from where that is started."""
    return fill_views({table: union_of_files([root], table) for table in TABLES})


def fill_views(
    sources: Mapping[str, str], wanted: Collection[str] = (), *, energy: bool = True
) -> str:
    """The views over the given table expressions; each has a column `folder`, a number.

    `wanted`: only these and what they are made of, since each takes milliseconds to bind; those
    of `energy` take a tenth of a second, and few questions ask for them.
    """
    names = ("views.sql", "energy.sql") if energy else ("views.sql",)
    text = "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
    if wanted:
        text = _only(text, wanted)
    for table in TABLES:
        text = text.replace(f"{{{table}}}", sources[table])
    return text


def _only(text: str, wanted: Collection[str]) -> str:
    """The statements that make these views, what they name in turn, and nothing that makes others.

    A view names only views that stand before it.
    """
    kept, needed = list[str](), set(wanted)
    for statement in reversed(_STATEMENT.split(text)):
        made = _MADE.match(statement)
        if made is None or made[1] in needed:
            kept.append(statement)
            needed |= {name for pair in _USED.findall(_COMMENT.sub("", statement)) for name in pair}
    return "".join(reversed(kept))


def question(name: str, **blanks: str) -> str:
    """Text of `questions/NAME.sql`; each {blank} takes SQL made by this package, never input."""
    text = (HERE / "questions" / f"{name}.sql").read_text(encoding="utf-8")
    for blank, sql in blanks.items():
        text = text.replace(f"{{{blank}}}", sql)
    return text


def union_of_files(roots: Iterable[str], table: str, *, by_name: bool = True) -> str:
    """All files of one table over all roots, as a table expression.

    By name, the footer of every file is read to find its columns. Else all are taken to have
    those of the first file, which holds the newest schema, and a query ends with an error where
    an older file lacks a column that it asks for.
    """
    option = ", union_by_name = true" if by_name else ""
    return union_of(f"read_parquet({_files(root, table)}{option})" for root in roots)


def _files(root: str, table: str) -> str:
    schema, every = (
        literal(f"{escaped(root)}/{table}/{files}") for files in ("_schema.parquet", "*.parquet")
    )
    return f"[{schema}, {every}]"


def union_of(sources: Iterable[str]) -> str:
    parts = [f"select *, {number} as folder from {src}" for number, src in enumerate(sources)]
    return f"({' union all by name '.join(parts)})"


def escaped(path: str) -> str:
    """A path whose own `*`, `?` and `[` are no patterns."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
