"""Two sides or more set against each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.compare.comparison import compare
from fleet.compare.noise import noise_floors
from fleet.compare.result import Comparison
from fleet.folders import results_folders
from fleet.metrics.compared import is_energy
from fleet.query.open_store import (
    READ_AT_ONCE,
    WITH_READINGS,
    open_store,
    rows,
)

EXPERIMENTS = "select distinct experiment from trials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """What `fleet compare` was asked."""

    by: str
    words: tuple[str, ...] = ()
    """Sides; the first word is an experiment where one has that name."""
    where: str = ""
    metrics: tuple[str, ...] = ("prefill", "decode")
    baseline: str | None = None
    allow_diff: tuple[str, ...] = ()
    pool: bool = False
    same_within: float = 0.05
    """Of 1: two sides are the same when the whole interval of their ratio lies within."""


@interruptible()
def read_comparison(homes: Sequence[Path], asked: Comparing) -> Comparison:
    energy = any(is_energy(metric) for metric in asked.metrics)
    tables = WITH_READINGS if energy else READ_AT_ONCE
    with closing(open_store(results_folders(homes), tables, views=("speeds", "trials"))) as con:
        there = {row["experiment"] for row in rows(con, EXPERIMENTS)} if asked.words else set()
        named = asked.words[:1] if asked.words and asked.words[0] in there else ()
        return compare(
            con,
            by=asked.by,
            sides=asked.words[len(named) :],
            where=asked.where,
            experiment=named[0] if named else None,
            metrics=asked.metrics,
            baseline=asked.baseline,
            allow_diff=asked.allow_diff,
            pool=asked.pool,
            same_within=asked.same_within,
            floors=noise_floors,
        )
