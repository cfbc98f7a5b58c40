"""Turns clauses such as `model=gpt-oss:20b, memory_gb>=96` into SQL with parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fleet.errors import UserError
from fleet.names import known
from fleet.query.periods import is_in_calendar

_CLAUSE = re.compile(r"\s*(\w+)\s*(!=|>=|<=|=|>|<)\s*('(?:[^']|'')*'|\"[^\"]*\"|.*?)\s*", re.DOTALL)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_BETWEEN = re.compile(r",|\s+and\s+", re.IGNORECASE)


def where_sql(
    text: str, columns: Iterable[str], made: Mapping[str, str] = {}
) -> tuple[str, list[object]]:
    """Return `model = ? and ...` and its parameters; `true` where there is no clause.

    `made`: further columns, as SQL. Raises UnknownName for a column that is none of them.
    """
    named = {**{column: f'"{column}"' for column in columns}, **made}
    clauses, parameters = ["true"], list[object]()
    for part in filter(str.strip, _BETWEEN.split(text)):
        match = _CLAUSE.fullmatch(part)
        if match is None or not match[3]:
            raise UserError(
                f"{part.strip()}: no clause like model=gpt-oss:20b or memory_gb>=96",
                "clauses stand with a comma or `and` between them",
            )
        clause, values = _clause(match, named)
        clauses.append(clause)
        parameters.extend(values)
    return " and ".join(clauses), parameters


def _clause(match: re.Match[str], named: Mapping[str, str]) -> tuple[str, list[object]]:
    column = named[known(match[1], named, "column", 'fleet sql "describe speeds"')]
    sign, value = match[2], match[3].strip("'\"")
    if match[1] == "date":
        return _date_clause(match[0].strip(), column, sign, value)
    number = _number(value)
    as_number = f"try_cast({column}::varchar as double)"
    if sign in ("=", "!="):
        equal, values = f"{column}::varchar = ?", list[object]([value])
        if number is not None:
            equal, values = f"({equal} or {as_number} = ?)", [value, number]
        return (
            f"coalesce({equal}, false)" if sign == "=" else f"not coalesce({equal}, false)"
        ), values
    if number is None:
        raise UserError(f"{match[0].strip()}: {sign} needs a number", "use = or != for words")
    return f"{as_number} {sign} ?", [number]


def _date_clause(clause: str, column: str, sign: str, value: str) -> tuple[str, list[object]]:
    """Return the SQL for a date: a month or a year holds its days; before and after need a day."""
    if sign in ("=", "!=") and is_in_calendar(value):
        inside = f"coalesce(starts_with({column}, ?), false)"
        return inside if sign == "=" else f"not {inside}", [value]
    if not _DAY.fullmatch(value) or not is_in_calendar(value):
        raise UserError(
            f"{clause}: {sign} needs a day like 2026-11-01",
            "a month is date=2026-11, a span of days date>=2026-11-01, date<=2026-11-20",
        )
    return f"{column} {sign} ?", [value]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
