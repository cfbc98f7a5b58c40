"""How long verdicts over a large packed store take: 10,000 trials, 200 cells, whole commands.

Four machines, five models, ten settings, fifty blocks; along the machines 150 contrasts with two
metrics, along the setting 180. What is between reading and printing is timed by itself as well.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import _large_store
import _table
from _large_store import MACHINES, MODELS
from _table import Table
from startup import FLEET, seconds

from fleet.compare.comparison import compare
from fleet.compare.request import ComparisonRequest
from fleet.folders import results_folder
from fleet.model.measure import TrialResult
from fleet.query.open_store import open_store
from fleet.query.variants import read_variants
from fleet.query.views import views_sql
from fleet.report.comparison_text import comparison_lines
from fleet.store import generation
from fleet.store.parquet import ParquetStore
from fleet.store.rows import rows_of

BATCHES = tuple(range(64, 64 * 11, 64))
CELLS = len(MACHINES) * len(MODELS) * len(BATCHES)
PER_PACK = 500
GOAL_S = 1.0


def fill(table: Table, quick: bool) -> None:
    trials, rounds = (2_000, 5) if quick else (10_000, 11)
    with tempfile.TemporaryDirectory(prefix="fleet-performance-") as folder:
        home = Path(folder)
        _table.note(f"building a store of {trials} trials ...")
        build(home, trials)
        of_what = f"{trials:,} packed trials, {CELLS} cells"
        for axis in ("machine", "num_batch"):
            argv = [FLEET, "compare", "--by", axis, "--home", str(home)]
            times = [seconds(argv, codes=(0, 1)) for _ in range(rounds)]
            what = f"`fleet compare --by {axis}` on {of_what}"
            table.at_most(what, GOAL_S, statistics.median(times), "s")
            for name, took in parts(home, axis, rounds).items():
                table.beside(f"of that, {name}", took, "s")


def parts(home: Path, axis: str, rounds: int) -> dict[str, float]:
    """Within one process: opening, the query, then everything from its rows to the lines."""
    spent: dict[str, list[float]] = {"opening": [], "reading": [], "judging and printing": []}
    for _ in range(rounds):
        begun = time.perf_counter()
        with closing(open_store([results_folder(home)])) as con:
            opened = time.perf_counter()
            read_variants(con, axis, (), "", None)
            read = time.perf_counter()
            comparison_lines(compare(con, ComparisonRequest(axis=axis)))
            done = time.perf_counter()
        spent["opening"].append(opened - begun)
        spent["reading"].append(read - opened)
        spent["judging and printing"].append(done - read - (read - opened))
    return {name: statistics.median(times) for name, times in spent.items()}


def build(home: Path, trials: int) -> None:
    folder = results_folder(home)
    ParquetStore(folder, views_sql=views_sql())
    now = generation.current(folder)
    assert now is not None
    packs: dict[str, dict[str, bytes]] = {}
    for number, first in enumerate(range(0, trials, PER_PACK)):
        made = (rows_of(result(n, trials)) for n in range(first, min(first + PER_PACK, trials)))
        for table, content in _large_store.pack(made).items():
            packs.setdefault(table, {})[f"{generation.PACK_PREFIX}{number:02d}-0.parquet"] = content
    generation.build(folder, generation.after(now), base=now, new=packs)


def result(number: int, of: int) -> TrialResult:
    """Trials of all cells in turn, so that every block holds each cell once."""
    plain = _large_store.result(number, of)
    batch = BATCHES[number // (len(MACHINES) * len(MODELS)) % len(BATCHES)]
    settings = {"num_ctx": 8192, "num_batch": batch}
    block = number // CELLS
    trial = replace(plain.trial, settings=settings, block=block)
    return replace(plain, trial=trial)


if __name__ == "__main__":
    _table.run("Verdicts over a large store", fill, __doc__)
