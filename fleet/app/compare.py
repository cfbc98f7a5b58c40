"""Compare two or more sides of what has been measured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.compare.comparison import compare
from fleet.compare.request import ComparisonRequest
from fleet.compare.result import Comparison
from fleet.folders import results_folders
from fleet.metrics.compared import is_energy
from fleet.query.open_store import READ_AT_ONCE, WITH_READINGS, open_store, rows
from fleet.query.variants import COMPARE_VIEWS

EXPERIMENTS = "select distinct experiment from trials"


@interruptible()
def read_comparison(
    homes: Sequence[Path], words: Sequence[str], request: ComparisonRequest
) -> Comparison:
    """Compare the sides that `words` name; an experiment may be their first word."""
    energy = any(is_energy(metric) for metric in request.metrics)
    tables = WITH_READINGS if energy else READ_AT_ONCE
    with closing(open_store(results_folders(homes), tables, views=COMPARE_VIEWS)) as con:
        experiments = {row["experiment"] for row in rows(con, EXPERIMENTS)} if words else set()
        named = words[:1] if words and words[0] in experiments else ()
        sides, experiment = tuple(words[len(named) :]), named[0] if named else None
        return compare(con, replace(request, sides=sides, experiment=experiment))
