"""The reading use cases: what has been measured, compared, shown. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fleet.app.homes import results_folder
from fleet.compare.comparison import Comparison, compare
from fleet.compare.reader import Row, open_store, rows
from fleet.compare.results import ExperimentRow, ResultRow, Shown, experiments, results, show
from fleet.compare.views import question


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """What `fleet compare` was asked."""

    by: str
    sides: tuple[str, ...] = ()
    experiment: str | None = None
    where: str = ""
    metrics: tuple[str, ...] = ("prefill", "decode")
    baseline: str | None = None
    allow_diff: tuple[str, ...] = ()
    pool: bool = False


def read_results(homes: Sequence[Path], experiment: str | None) -> list[ResultRow]:
    with closing(open_store(_folders(homes))) as con:
        return results(con, experiment)


def read_experiments(homes: Sequence[Path]) -> list[ExperimentRow]:
    with closing(open_store(_folders(homes))) as con:
        return experiments(con)


def read_comparison(homes: Sequence[Path], asked: Comparing) -> Comparison:
    with closing(open_store(_folders(homes))) as con:
        return compare(
            con,
            by=asked.by,
            sides=asked.sides,
            where=asked.where,
            experiment=asked.experiment,
            metrics=asked.metrics,
            baseline=asked.baseline,
            allow_diff=asked.allow_diff,
            pool=asked.pool,
        )


def read_trial(homes: Sequence[Path], prefix: str) -> Shown:
    with closing(open_store(_folders(homes))) as con:
        return show(con, prefix)


def read_machines(homes: Sequence[Path]) -> list[Row]:
    """Each machine as it was last seen, newest first."""
    with closing(open_store(_folders(homes), ["trials", "requests", "fingerprints"])) as con:
        return rows(con, question("machines"))


def read_sql(
    homes: Sequence[Path], query: str, timeout_s: float
) -> tuple[list[str], list[list[object]]]:
    from fleet.compare.locked import sql

    return sql(_folders(homes), query, timeout_s=timeout_s)


def _folders(homes: Sequence[Path]) -> list[Path]:
    return [results_folder(home) for home in homes]
