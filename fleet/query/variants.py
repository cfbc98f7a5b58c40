"""Reads measured trials, each row of `variants.sql` such as may be pooled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

from fleet.comparability import (
    AXES,
    ENERGY_FACTS,
    ENERGY_SCOPE,
    ENVIRONMENT_FACTS,
    SETTINGS,
    check_axis,
)
from fleet.errors import UnknownName
from fleet.metrics.compared import Metric
from fleet.query.energy import bind_energy
from fleet.query.filters import where_sql
from fleet.query.open_store import Connection, Row, rows
from fleet.query.views import literal, question

NOT_SET = "not set"
"""An environment that was read and has not this variable; unknown is None."""

THROTTLED = "throttled"
"""The one flag that keeps no trial apart: without its throttled trials a machine looks faster."""


def _in_force(fact: str, variable: str) -> str:
    """As asked, else as found; what was asked for as yes or no reads as the variable does."""
    asked = f"replace(replace({fact}::varchar, 'true', '1'), 'false', '0')"
    read = f"json_extract_string(engine_environment, '$.{variable}')"
    found = f"if(engine_environment is null, null, coalesce({read}, {literal(NOT_SET)}))"
    return f"coalesce({asked}, {found})"


COUNTED = {"trials", "first_at", "last_at", "requests_left_out", "cpu_share"}
"""Of the trials of one row, not what they have in common."""

AS_A_VARIABLE = {"True": "1", "False": "0"}

TOO_SHORT = {"too short for a rate", "not reported"}
"""Why a trial has no rate, where its work is such that none of its kind has one."""

MADE = {
    "date": "started_local::date::varchar",  # a day is the machine's own
    # in force while it was measured, else as found
    "gpu_limit_mb": "coalesce(gpu_limit_effective_mb, gpu_limit_mb)",
    **{fact: _in_force(fact, variable) for fact, variable in ENVIRONMENT_FACTS.items()},
}
"""Columns that `speeds` has not, as SQL over those it has."""


Block = tuple[str, str]
"""A block by experiment, session and number, and the submission that measured it: two stores may
hold the same block of two submissions, and one block may be measured by two, after a resume."""


@dataclass(frozen=True)
class Variant:
    """Trials of one point that may be pooled, as one row of `variants.sql`."""

    row: Row

    def text(self, field: str) -> str | None:
        """What is true of these trials; of a variable of the engine what was in force."""
        if field in ENVIRONMENT_FACTS:
            return self.asked_for(field) or self._environment.get(field)
        if field == "engine_environment":
            return self._environment.get(field)
        if field in SETTINGS and field not in self.row:
            return self.asked_for(field)
        if field in ENERGY_FACTS and field not in self.row:
            return None
        value = self.row[field]
        return None if value is None else str(value)

    def asked_for(self, setting: str) -> str | None:
        """As the experiment asked: the text of all settings holds each of them."""
        if setting in self.row:
            value = self.row[setting]
            return None if value is None else str(value)
        asked = self._settings.get(setting)
        if asked is None or setting not in ENVIRONMENT_FACTS:
            return asked
        return AS_A_VARIABLE.get(asked, asked)

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        pairs = (part.partition("=") for part in (self.text("settings") or "").split())
        return {name: value for name, _, value in pairs}

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

    @property
    def identity(self) -> tuple[object, ...]:
        """The cell and what keeps it apart, without the part of the machine whose energy it is."""
        return tuple(
            str(value)
            for field, value in self.row.items()
            if not isinstance(value, list) and field not in (*ENERGY_FACTS, *COUNTED)
        )

    @cached_property
    def blocks(self) -> list[Block]:
        """Of each trial."""
        numbers = self.listed("blocks")
        known = "submissions" in self.row
        submissions = self.listed("submissions") if known else [""] * len(numbers)
        return [(f"{self.origin}{n}", s) for n, s in zip(numbers, submissions, strict=True)]

    @cached_property
    def machine_id(self) -> str:
        return self.text("machine_id") or ""

    @cached_property
    def scope(self) -> str | None:
        """The part of the machine whose energy was read; None: of none, or it is not asked."""
        return self.text(ENERGY_SCOPE)

    @cached_property
    def age(self) -> str:
        return str(self.row["last_at"] or "")

    @property
    def silent(self) -> bool:
        """No request of these trials is valid."""
        return bool(self.row.get("silent"))

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

    def is_too_short(self, note: str) -> bool:
        return {said for said in self.listed(note) if said} <= TOO_SHORT

    def has(self, column: str) -> bool:
        """Any trial has a value there."""
        return any(value is not None for value in self.listed(column))

    def numbers(self, column: str) -> list[float | None]:
        return [None if value is None else float(value) for value in self.listed(column)]


def read_variants(
    con: Connection,
    by: str,
    metrics: Iterable[Metric],
    where: str,
    experiment: str | None,
) -> list[Variant]:
    """Metrics of energy alone, or none of them: each scope of a trial is a variant of its own.

    Trials without a valid request are among them, and `silent`.

    Raises UnknownName for an axis that is none, and for a column in `where` that is none.
    """
    strange = by not in AXES
    columns = rows(con, "describe speeds") if where or strange else []
    check_axis(by, _words(columns) if strange else ())
    metrics = tuple(metrics)
    energy = any(metric.of_energy for metric in metrics)
    made = {**MADE, **{fact: fact for fact in ENERGY_FACTS if energy}}
    clause, parameters = where_sql(where, [str(row["column_name"]) for row in columns], made)
    if experiment is not None:
        clause, parameters = f"{clause} and experiment = ?", [*parameters, experiment]
    if energy:
        bind_energy(con, experiment)
    asked = partial(_asked, con, by, clause, parameters)
    found = asked(metrics, naive=False)
    return asked(metrics, naive=True) if _needs_naive(found, metrics) else found


def _asked(
    con: Connection,
    by: str,
    clause: str,
    parameters: Sequence[object],
    metrics: Sequence[Metric],
    *,
    naive: bool,
) -> list[Variant]:
    wanted = set[str]().union(*(metric.columns() for metric in metrics))
    if not naive:
        wanted -= {metric.naive or "" for metric in metrics}
    energy = any(metric.of_energy for metric in metrics)
    sql = question(
        "variants",
        source=question("with_energy") if energy else "all_speeds",
        energy="".join(f" {fact}," for fact in ENERGY_FACTS) if energy else "",
        axis="machine_id" if by == "machine" else MADE.get(by, f'"{by}"'),
        metrics=", ".join(f"list({column}) as {column}" for column in sorted(wanted)),
        where=clause,
    )
    return [Variant(row) for row in rows(con, sql, parameters)]


def _needs_naive(found: Sequence[Variant], metrics: Sequence[Metric]) -> bool:
    """Somebody has no rate where others have one, or for want of a known cache: then the naive
    one is better than nothing. To read it for all costs a fifth of the whole question."""
    for metric in metrics:
        if metric.naive is None or metric.note is None:
            continue
        without = [v for v in found if not (v.silent or v.has(metric.column))]
        rated = {_work(variant) for variant in found if variant.has(metric.column)}
        if any(_work(v) in rated or not v.is_too_short(metric.note) for v in without):
            return True
    return False


def _work(variant: Variant) -> tuple[object, object]:
    return variant.row["job"], variant.row["point"]


def read_failed(con: Connection, where: str, experiment: str | None) -> list[Row]:
    """The cells that belong to the question and of which no trial went well.

    Where the question is about a column that only a speed has, there is none.
    """
    failed = "select 1 from raw_trials where outcome <> 'ok' limit 1"
    if not rows(con, failed):
        return []
    columns = rows(con, "describe trials") if where else []
    try:
        clause, parameters = where_sql(where, [str(row["column_name"]) for row in columns], MADE)
    except UnknownName:
        return []
    if experiment is not None:
        clause, parameters = f"{clause} and experiment = ?", [*parameters, experiment]
    return rows(con, question("failed_cells", where=clause), parameters)


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
