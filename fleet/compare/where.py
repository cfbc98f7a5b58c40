"""Clauses such as `model=gpt-oss:20b, memory_gb>=96` as SQL with parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fleet.compare.axes import known
from fleet.errors import UserError

_CLAUSE = re.compile(r"\s*(\w+)\s*(!=|>=|<=|=|>|<)\s*('(?:[^']|'')*'|\"[^\"]*\"|.*?)\s*", re.DOTALL)
_BETWEEN = re.compile(r",|\s+and\s+", re.IGNORECASE)


def where_sql(text: str, columns: Iterable[str]) -> tuple[str, list[object]]:
    """(`model = ? and ...`, its parameters); `true` where nothing is asked."""
    clauses, parameters = ["true"], list[object]()
    for part in filter(str.strip, _BETWEEN.split(text)):
        match = _CLAUSE.fullmatch(part)
        if match is None or not match[3]:
            raise UserError(
                f"{part.strip()}: no clause like model=gpt-oss:20b or memory_gb>=96",
                "clauses stand with a comma or `and` between them",
            )
        clause, values = _clause(match, columns)
        clauses.append(clause)
        parameters.extend(values)
    return " and ".join(clauses), parameters


def _clause(match: re.Match[str], columns: Iterable[str]) -> tuple[str, list[object]]:
    column = known(match[1], columns, "column", 'fleet sql "describe speeds"')
    sign, value = match[2], match[3].strip("'\"")
    number = _number(value)
    as_number = f'try_cast("{column}"::varchar as double)'
    if sign in ("=", "!="):
        equal, values = f'"{column}"::varchar = ?', list[object]([value])
        if number is not None:
            equal, values = f"({equal} or {as_number} = ?)", [value, number]
        return (
            f"coalesce({equal}, false)" if sign == "=" else f"not coalesce({equal}, false)"
        ), values
    if number is None:
        raise UserError(f"{match[0].strip()}: {sign} needs a number", "use = or != for words")
    return f"{as_number} {sign} ?", [number]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
