"""Reads measured trials, each row of `variants.sql` such as may be pooled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import duckdb

from fleet.compare.axes import Metric, check_axis
from fleet.compare.reader import Row, rows
from fleet.compare.views import literal, question
from fleet.compare.where import where_sql
from fleet.model.likeness import AXES, ENVIRONMENT_FACTS

NOT_SET = "not set"
"""An environment that was read and has not this variable; unknown is None."""

THROTTLED = "throttled"
"""The one flag that keeps no trial apart: without its throttled trials a machine looks faster."""


def _of_environment(variable: str) -> str:
    read = f"json_extract_string(engine_environment, '$.{variable}')"
    return f"if(engine_environment is null, null, coalesce({read}, {literal(NOT_SET)}))"


MADE = {
    "date": "started_at::date::varchar",
    **{fact: _of_environment(variable) for fact, variable in ENVIRONMENT_FACTS.items()},
}
"""Columns that `speeds` has not, as SQL over those it has."""


@dataclass(frozen=True)
class Variant:
    """Trials of one point that may be pooled, as one row of `variants.sql`."""

    row: Row

    def text(self, field: str) -> str | None:
        """What is true of these trials; of a variable of the engine what was in force."""
        if field in ENVIRONMENT_FACTS and self.row.get(field) is None:
            return self._environment.get(field)
        if field == "engine_environment":
            return self._environment.get(field)
        return self.asked_for(field)

    def asked_for(self, setting: str) -> str | None:
        """As the experiment asked, by the column of this name."""
        value = self.row[setting]
        if isinstance(value, bool) and setting in ENVIRONMENT_FACTS:
            return str(int(value))  # as the variable has it
        return None if value is None else str(value)

    @cached_property
    def _environment(self) -> Mapping[str, str | None]:
        text = self.row["engine_environment"]
        return _environment(None if text is None else str(text))

    @cached_property
    def asked(self) -> tuple[str | None, str | None]:
        return self.text("experiment"), self.text("session")

    @cached_property
    def origin(self) -> str:
        """Before the number of a block: blocks of two sessions are two blocks."""
        return f"{self.text('experiment')}/{self.text('session')}/"

    @cached_property
    def machine_id(self) -> str:
        return self.text("machine_id") or ""

    @cached_property
    def age(self) -> str:
        return str(self.row["last_at"] or "")

    @property
    def trials(self) -> int:
        return int(str(self.row["trials"]))

    @cached_property
    def flags(self) -> tuple[str, ...]:
        return tuple((self.text("flags") or "").split())

    @property
    def throttled(self) -> bool:
        return THROTTLED in self.flags

    @cached_property
    def label(self) -> str:
        """The flags that keep trials apart."""
        return " ".join(flag for flag in self.flags if flag != THROTTLED)

    def listed(self, column: str) -> list[Any]:
        """One item per trial, in the same order for every column."""
        values = self.row[column]
        if not isinstance(values, list):
            raise TypeError(f"{column} holds one {type(values).__name__}, not one per trial")
        return values

    def numbers(self, column: str) -> list[float | None]:
        return [None if value is None else float(value) for value in self.listed(column)]


def read_variants(
    con: duckdb.DuckDBPyConnection,
    by: str,
    metrics: Iterable[Metric],
    where: str,
    experiment: str | None,
) -> list[Variant]:
    """Raises UnknownName for an axis that is none, and for a column in `where` that is none."""
    strange = by not in AXES
    columns = rows(con, "describe speeds") if where or strange else []
    check_axis(by, _words(columns) if strange else ())
    clause, parameters = where_sql(where, [str(row["column_name"]) for row in columns], MADE)
    if experiment is not None:
        clause, parameters = f"{clause} and experiment = ?", [*parameters, experiment]
    wanted = sorted(set[str]().union(*(metric.columns() for metric in metrics)))
    sql = question(
        "variants",
        axis="machine_id" if by == "machine" else MADE.get(by, f'"{by}"'),
        metrics=", ".join(f"list({column}) as {column}" for column in wanted),
        where=clause,
    )
    return [Variant(row) for row in rows(con, sql, parameters)]


MEASURED = {"flags", "prefill_note", "decode_note", "trial_id", "attempt_id", "why"}


def _words(columns: Iterable[Row]) -> list[str]:
    """Columns of words and of yes or no, such as a later version may have more of."""
    kinds = {str(row["column_name"]): str(row["column_type"]) for row in columns}
    return [n for n, kind in kinds.items() if kind in ("VARCHAR", "BOOLEAN") and n not in MEASURED]


@lru_cache(maxsize=256)
def _environment(text: str | None) -> Mapping[str, str | None]:
    """The facts that lie in an environment, and what is left of it; all None: not known."""
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {"engine_environment": text}
    left = dict(found) if isinstance(found, dict) else {}
    facts = {fact: str(left.pop(name, NOT_SET)) for fact, name in ENVIRONMENT_FACTS.items()}
    return {**facts, "engine_environment": " ".join(f"{k}={v}" for k, v in sorted(left.items()))}
