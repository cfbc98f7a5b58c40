"""Reads measured trials, each row of `variants.sql` such as may be pooled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.comparability import AXES, ENERGY_FACTS, ENVIRONMENT_FACTS, check_axis
from fleet.errors import UnknownName
from fleet.metrics.metric import Metric
from fleet.query.energy import bind_energy
from fleet.query.filters import where_sql
from fleet.query.open_store import Connection, Row, rows
from fleet.query.typed import typed_rows
from fleet.query.variant import NOT_SET, Variant, variant_of
from fleet.query.views import literal, question


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCell:
    """One cell of which no trial went well, as one row of `failed_cells.sql`."""

    experiment: str | None
    session: int | None
    machine: str
    model: str
    job: str
    settings: str = ""
    trials: int
    reasons: str = "no reason is known"


def read_variants(
    con: Connection,
    axis: str,
    metrics: Iterable[Metric],
    where: str,
    experiment: str | None,
) -> list[Variant]:
    """Read what can be compared by this axis, trials without a valid request among it.

    The metrics are all of energy, or none is: each scope of a trial is a variant of its own.
    Raises UnknownName for an axis that is none, and for a column in `where` that is none.
    """
    strange = axis not in AXES
    columns = rows(con, "describe speeds") if where or strange else []
    check_axis(axis, _words(columns) if strange else ())
    metrics = tuple(metrics)
    energy = any(metric.of_energy for metric in metrics)
    made = {**MADE, **{fact: fact for fact in ENERGY_FACTS if energy}}
    clause, parameters = _clause(where, columns, made, experiment)
    if energy:
        bind_energy(con, experiment)

    def read(naive: bool) -> list[Variant]:
        sql = _query(axis, clause, metrics, naive=naive)
        return list(map(variant_of, rows(con, sql, parameters)))

    variants = read(naive=False)
    return read(naive=True) if _needs_naive(variants, metrics) else variants


def _clause(
    where: str, columns: Iterable[Row], made: Mapping[str, str], experiment: str | None
) -> tuple[str, list[object]]:
    clause, parameters = where_sql(where, [str(row["column_name"]) for row in columns], made)
    if experiment is None:
        return clause, parameters
    return f"{clause} and experiment = ?", [*parameters, experiment]


COMPARE_VIEWS = ("speeds", "trials", "second_opinion")
"""What a comparison asks for; those of energy only where some is asked about."""

DECODE = "decode_tokens_per_s"
TWO_CLOCKS = f"""
  second_opinion(
    median(client_decode_tokens_per_s), median({DECODE}), median(client_window_ns)
  ) as second_opinion,"""


def _query(axis: str, clause: str, metrics: Sequence[Metric], *, naive: bool) -> str:
    columns = set[str]().union(*(metric.columns() for metric in metrics))
    if not naive:
        columns -= {metric.naive or "" for metric in metrics}
    energy = any(metric.of_energy for metric in metrics)
    return question(
        "variants",
        source=question("with_energy") if energy else "all_speeds",
        energy="".join(f" {fact}," for fact in ENERGY_FACTS) if energy else "",
        clocks=TWO_CLOCKS if DECODE in columns else "",
        axis="machine_id" if axis == "machine" else MADE.get(axis, f'"{axis}"'),
        metrics=", ".join(f"list({column}) as {column}" for column in sorted(columns)),
        where=clause,
    )


def _needs_naive(variants: Sequence[Variant], metrics: Sequence[Metric]) -> bool:
    """Return whether some have no rate where others do, or for want of a known cache.

    Then the naive rate is better than nothing. To read it for all costs a fifth of the question.
    """
    for metric in metrics:
        if metric.naive is None or metric.note is None:
            continue
        without = [v for v in variants if not (v.silent or v.has(metric.column))]
        rated = {_work(variant) for variant in variants if variant.has(metric.column)}
        if any(_work(v) in rated or not v.is_too_short(metric.note) for v in without):
            return True
    return False


def _work(variant: Variant) -> tuple[str | None, str | None]:
    return variant.facts["job"], variant.facts["point"]


def read_failed(con: Connection, where: str, experiment: str | None) -> list[FailedCell]:
    """Read the cells that belong to the question and of which no trial went well.

    Where the question is about a column that only a speed has, there is none.
    """
    failed = "select 1 from raw_trials where outcome <> 'ok' limit 1"
    if not rows(con, failed):
        return []
    columns = rows(con, "describe trials") if where else []
    try:
        clause, parameters = _clause(where, columns, MADE, experiment)
    except UnknownName:
        return []
    return typed_rows(con, FailedCell, question("failed_cells", where=clause), parameters)


def _in_force(fact: str, variable: str) -> str:
    """Return SQL for the value as asked, else as found in the engine's environment.

    What was asked for as yes or no reads as the variable does.
    """
    set_value = f"replace(replace({fact}::varchar, 'true', '1'), 'false', '0')"
    read = f"json_extract_string(engine_environment, '$.{variable}')"
    in_environment = f"if(engine_environment is null, null, coalesce({read}, {literal(NOT_SET)}))"
    return f"coalesce({set_value}, {in_environment})"


MADE = {
    "date": "started_local::date::varchar",  # a day is the machine's own
    # in force while it was measured, else as found
    "gpu_limit_mb": "coalesce(gpu_limit_effective_mb, gpu_limit_mb)",
    **{fact: _in_force(fact, variable) for fact, variable in ENVIRONMENT_FACTS.items()},
}
"""Columns that `speeds` has not, as SQL over those it has."""

MEASURED = {"flags", "prefill_note", "decode_note", "trial_id", "attempt_id", "why"}


def _words(columns: Iterable[Row]) -> list[str]:
    """Return the columns of words and of yes or no, such as a later version may have more of."""
    kinds = {str(row["column_name"]): str(row["column_type"]) for row in columns}
    return [n for n, kind in kinds.items() if kind in ("VARCHAR", "BOOLEAN") and n not in MEASURED]
