"""The advisor against measured rows: memory, fit, speed, and how fast it answers.

Any folder whose files have the columns of `memory_engine_sweep.csv`, `memory_ground_truth.csv`,
`fit_outcomes.csv` and `speed_ground_truth.csv` works; a file that is absent is said to be absent.
The first table has the goals. The second splits the error of speed by class of machine, and says
how large it is for models and for machines that the constants had not seen: there the constants
are fitted anew without them. The exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import _advisor_fit as fitting
import _advisor_memory as memory
import _advisor_verdicts as verdicts
import numpy as np
from _advisor_header import header_of_a_large_file
from _advisor_rows import Shapes, Speed, rows, speeds
from _table import Table, note

from fleet.advisor import machines, models
from fleet.advisor.amounts import Amount
from fleet.advisor.fit import judge
from fleet.advisor.grid import grid
from fleet.advisor.machines_kind import Box, SpeedClass
from fleet.advisor.need import need
from fleet.advisor.setup import Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate, prefill_rate_of, rate_of
from fleet.advisor.work import DecodeWork, PrefillWork, muscle_of

LEAST_ROWS = 10
"""A class with fewer rows is shown without a goal."""
DECODE_GOALS = {SpeedClass.METAL: 7.0, SpeedClass.CUDA: 10.0}
OTHER_GOAL = 15.0
PREFILL_GOAL = 13.0
COVERED = (85.0, 95.0)
MODELS, MACHINES, CONTEXTS = 50, 20, 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the measured rows")
    parser.add_argument("--brief", action="store_true", help="leave out the fits without a group")
    arguments = parser.parse_args()
    goals, folder = Table("The advisor against its goals"), arguments.data
    if folder is not None and not folder.is_dir():
        print(f"{folder}: there is no such folder", file=sys.stderr)
        return 2
    if folder is None:
        note("without --data only the speed of the answers is measured")
        answer_goals(goals)
        print(goals.show())
    else:
        shapes = Shapes(folder)
        memory_goals(goals, folder, shapes)
        speed_goals(goals, folder, shapes)
        left_out(goals, folder, shapes)
        answer_goals(goals)
        print(goals.show())
        print(by_class(folder, shapes, brief=arguments.brief).show())
    misses = [row[0] for row in goals.rows if row[3] == "no"]
    for what in misses:
        print(f"missed: {what}")
    return 1 if misses else 0


def memory_goals(table: Table, folder: Path, shapes: Shapes) -> None:
    caches = memory.sweep_caches(folder, shapes) + memory.logged_caches(folder, shapes)
    errors = [100 * compared.error for compared in caches]
    add(table, "KV and states, engine logs and sweep: median", errors, 0.05, median)
    add(table, "KV and states: largest", errors, 3.0, max)
    buffers = [100 * c.error for c in memory.sweep_buffers(folder, shapes)]
    add(table, "compute buffer, one device, sweep: median", buffers, 5.0, median)
    logged = [100 * c.error for c in memory.logged_buffers(folder, shapes)]
    add(table, "compute buffer, one device, logs: median", logged, 5.0, median)
    plain = [100 * c.error for c in memory.processes(folder, shapes, learned=False)]
    add(table, "process total, machine unknown: median", plain, 5.6, median)
    learned = [100 * c.error for c in memory.processes(folder, shapes, learned=True)]
    add(table, "process total, one learned offset: median", learned, 1.4, median)
    sizes = [100 * c.error for c in memory.ps_sizes(folder, shapes)]
    beside(table, "`ollama ps` SIZE, flags and version unknown: median", sizes)
    verdict_goals(table, folder, shapes)


def verdict_goals(table: Table, folder: Path, shapes: Shapes) -> None:
    for label, count in (
        ("fit, from the model's name", verdicts.verdicts_of_advisor(folder, shapes)),
        ("fit, from the row's own need", verdicts.verdicts_of_rule(folder)),
    ):
        if not count.rows:
            table.rows.append((label, "", "no rows", ""))
            continue
        table.at_most(f"{label}: false `fits`", 0, count.false_fits, f"of {count.rows}")
        table.at_most(f"{label}: wrong", 1.0, 100 * count.wrong / count.rows, "%")
        table.at_most(f"{label}: undecided", 10.0, 100 * count.undecided / count.rows, "%")


def left_out(table: Table, folder: Path, shapes: Shapes) -> None:
    """How many rows no goal looks at, since their model, backend or context is not known."""
    sweep = len(rows(folder, "memory_engine_sweep.csv"))
    placed = len(memory.sweep_caches(folder, shapes))
    table.beside("sweep: rows of an unknown model", sweep - placed, f"of {sweep}")
    kinds = ("load_log", "load_log_2023", "breakdown", "engine_log", "process_vram", "ollama_ps")
    loads = [row for row in rows(folder, "memory_ground_truth.csv") if row["kind"] in kinds]
    usable = len(list(memory.ground_truth(folder, shapes, kinds)))
    what = "loads: rows of an unknown model or context"
    table.beside(what, len(loads) - usable, f"of {len(loads)}")
    rates = [row for row in rows(folder, "speed_ground_truth.csv") if row["fits"] != "0"]
    used = sum(len(list(speeds(folder, metric, shapes))) for metric in ("decode", "prefill"))
    table.beside("speed: rows that say too little", len(rates) - used, f"of {len(rates)}")


def speed_goals(table: Table, folder: Path, shapes: Shapes) -> None:
    decodes = list(speeds(folder, "decode", shapes))
    for kind in SpeedClass:
        own = [speed for speed in decodes if speed.muscle.speed_class is kind]
        if not own:
            continue
        errors = [100 * abs(error_of(speed)) for speed in own]
        goal = DECODE_GOALS.get(kind, OTHER_GOAL)
        if len(own) < LEAST_ROWS:
            beside(table, f"decode, {kind.value}, {len(own)} rows only: median", errors)
            continue
        add(table, f"decode, {kind.value}: median", errors, goal, median)
    coverage(table, "decode: within the 90 % interval", decodes)
    prompts = list(speeds(folder, "prefill", shapes))
    errors = [100 * abs(error_of(speed)) for speed in prompts]
    add(table, "prefill: median", errors, PREFILL_GOAL, median)
    share = 100 * statistics.fmean(within(s) for s in prompts) if prompts else 0.0
    table.beside("prefill: within the 90 % interval", share, "%")


def coverage(table: Table, what: str, measured: Sequence[Speed]) -> None:
    if not measured:
        table.rows.append((what, "", "no rows", ""))
        return
    share = 100 * statistics.fmean(within(speed) for speed in measured)
    low, high = COVERED
    table.holds(what, f"{low:g} to {high:g} %", f"{share:.1f} %", low <= share <= high)


def answer_goals(table: Table) -> None:
    """How fast the advisor answers, in CPU time, since others run here; the best of some rounds."""
    shape = models.look_up("gpt-oss:120b")
    box = machines.read("M3 Ultra 96 GB")
    rounds = [timed(lambda: predict(shape, box, 32768)) for _ in range(200)]
    table.at_most("one prediction", 1.0, 1e3 * min(rounds), "ms")
    table.beside("one prediction, CPU: median", 1e3 * median(rounds), "ms")
    grid = [timed(whole_grid) for _ in range(3)]
    what = f"{MODELS} models x {MACHINES} machines x {CONTEXTS} contexts"
    table.at_most(what, 1.0, min(grid), "s")
    with tempfile.TemporaryDirectory(prefix="fleet-performance-") as folder:
        head = header_of_a_large_file(Path(folder))
    table.at_most("head of a 65 GB GGUF file by HTTP", 32.0, head.transferred / 2**20, "MiB")
    table.beside("head of a 65 GB GGUF file: seconds", head.seconds, "s")


def predict(shape: ModelShape, box: Box, context: int) -> object:
    """Need, verdict and rate of one cell, as the grid shows them."""
    demand = need(shape, Setup(context=context, devices=box.devices), box.kind.backend)
    verdict = judge(demand, box.limits()[0], box.ram_bytes)
    return verdict, decode_rate(shape, muscle_of(box), context // 2)


def whole_grid() -> None:
    shapes = [entry.shape() for entry in models.CATALOGUE[:MODELS]]
    boxes = [Box(kind=kind, memory_gb=kind.memory_gb[-1]) for kind in machines.CATALOGUE[:MACHINES]]
    contexts = [2048 << power for power in range(CONTEXTS)]
    cells = sum(1 for _ in grid(shapes, boxes, contexts, Setup(context=2048)))
    assert cells == MODELS * MACHINES * CONTEXTS


def timed(call: object) -> float:
    assert callable(call)
    started = time.process_time()
    call()
    return time.process_time() - started


def by_class(folder: Path, shapes: Shapes, *, brief: bool) -> Table:
    """Shipped constants, and constants fitted without the row's model or machine."""
    table = Table("Error of speed by class: median / 90th percentile")
    for metric in ("decode", "prefill"):
        measured = list(speeds(folder, metric, shapes))
        for kind in SpeedClass:
            own = [speed for speed in measured if speed.muscle.speed_class is kind]
            if own:
                class_rows(table, f"{metric}, {kind.value}", own, brief=brief)
        if measured:
            errors = [100 * abs(error_of(speed)) for speed in measured]
            table.rows.append((f"{metric}, all {len(measured)} rows", "", spread(errors), ""))
    return table


def class_rows(table: Table, what: str, own: Sequence[Speed], *, brief: bool) -> None:
    errors = [100 * abs(error_of(speed)) for speed in own]
    share = 100 * statistics.fmean(within(speed) for speed in own)
    table.rows.append((f"{what}: {len(own)} rows", f"{share:.0f} % within", spread(errors), ""))
    if brief or len(own) < LEAST_ROWS:
        return
    metric = what.partition(",")[0]
    towards = fitting.usual(metric, own[0].muscle.speed_class)
    for label, column in (("model", "model_key"), ("machine", "device")):
        if len({speed.row[column] for speed in own}) < 2:
            continue
        held = fitting.held_out(own, towards, lambda speed, c=column: speed.row[c])
        misses = [100 * abs(speed.seconds / seconds - 1) for speed, seconds in held]
        table.rows.append((f"{what}: {label} not seen", "", spread(misses), ""))


def error_of(speed: Speed) -> float:
    """Predicted over measured rate, minus one."""
    return expected(speed).value * speed.seconds / tokens_of(speed) - 1


def within(speed: Speed) -> bool:
    rate = expected(speed)
    return rate.low <= tokens_of(speed) / speed.seconds <= rate.high


def expected(speed: Speed) -> Amount:
    if isinstance(speed.work, DecodeWork):
        return rate_of(speed.work, speed.muscle).expected
    assert isinstance(speed.work, PrefillWork)
    return prefill_rate_of(speed.work, speed.muscle).expected


def tokens_of(speed: Speed) -> int:
    return speed.work.tokens if isinstance(speed.work, PrefillWork) else 1


def add(table: Table, what: str, errors: Sequence[float], goal: float, measure: object) -> None:
    """A row with its goal; one that says so where the folder has no rows for it."""
    assert callable(measure)
    if errors:
        table.at_most(f"{what} ({len(errors)} rows)", goal, measure(errors), "%")
    else:
        table.rows.append((what, f"<= {goal:g} %", "no rows", ""))


def beside(table: Table, what: str, errors: Sequence[float]) -> None:
    if errors:
        table.beside(f"{what} ({len(errors)} rows)", median(errors), "%")


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(errors: Sequence[float]) -> str:
    return f"{median(errors):.1f} / {np.quantile(errors, 0.9):.0f} %"


if __name__ == "__main__":
    sys.exit(main())
