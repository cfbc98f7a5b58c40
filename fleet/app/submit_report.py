"""From the store to answers: what submit prints at its end, and what its stop rule asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.app.interrupts import interruptible
from fleet.app.next_steps import Measured, next_lines, step_lines, with_store
from fleet.compare.comparison import compare
from fleet.compare.precision import Precision, precisions, widths
from fleet.compare.request import NO_AXIS, ComparisonRequest
from fleet.errors import StoreUnusable, UserError
from fleet.folders import results_folder
from fleet.model.event import Finished
from fleet.model.experiment import is_quick
from fleet.plan.plans import Cell, Plan, PlannedContrast
from fleet.query.open_store import WITH_READINGS, generations, open_store
from fleet.query.results import RESULT_VIEWS, ResultRow, results
from fleet.query.trial_speeds import trial_words
from fleet.report.comparison_text import comparison_lines, results_lines
from fleet.report.precision_text import precision_lines

QUICK = "a quick look: one block, answers cut after 3 s, nothing waited for; it gives no verdict"

if TYPE_CHECKING:
    from fleet.query.open_store import Connection


class Widths:
    """What the stop rule asks after each block; the store stays open in between.

    A packer moves what was stored into a new generation, which is another folder: then it is
    opened anew.
    """

    def __init__(self, home: Path, plan: Plan) -> None:
        self._folder = results_folder(home)
        self._request = _request(plan)
        self._opened: tuple[list[Path], Connection] | None = None

    @interruptible()
    def read(self, wanted: Sequence[PlannedContrast]) -> dict[frozenset[Cell], float]:
        """The widest ratio of each contrast so far, and the width of each cell that stands alone.

        One that is not known at all is left out.
        """
        known = widths(self._store(), self._request)
        found = {cells: width for cells, width in known.items() if len(cells) == 1}
        for contrast in wanted:
            pairs = [w for cells, w in known.items() if len(cells) > 1 and cells <= contrast.cells]
            if pairs:
                found[contrast.cells] = max(pairs)
        return found

    def close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _store(self) -> Connection:
        now = generations([self._folder])
        if self._opened is None or self._opened[0] != now:
            self.close()
            self._opened = now, open_store([self._folder])
        return self._opened[1]


@interruptible()
def with_speeds(event: Finished, home: Path) -> Finished:
    """The event of a trial that is stored, with its speeds as the views judge them.

    The measurement goes on where they cannot be read now: its rows are stored.
    """
    if event.result.outcome != "ok":
        return event
    try:
        speeds = trial_words(results_folder(home), event.result)
    except StoreUnusable:
        speeds = "its speeds cannot be read now"
    return replace(event, speeds=speeds)


@dataclass(frozen=True, slots=True)
class Ending:
    """What a submit ends with."""

    lines: list[str]
    counts: bool
    """Whether any request of it counts; else the flags of the rows say why none does."""


@interruptible()
def ending(home: Path, plan: Plan, width: int | None = None, *, command: str = "") -> Ending:
    """Results, the comparison if there is one, and what to type next.

    `width`: columns of the terminal; None: a file or a pipe. `command`: as typed.
    """
    name, views = plan.request.experiment.name, (*RESULT_VIEWS, "speeds")
    with closing(open_store([results_folder(home)], WITH_READINGS, views)) as con:
        cells = [cell for cell in results(con, name) if cell.session == plan.session]
        lines = results_lines(cells, width)
        counts = any(cell.valid for cell in cells)
        if is_quick(plan.request):
            steps = _after_a_quick_look(command, cells)
            steps.append(with_store(f"fleet results {name}", home))
            return Ending([*lines, "", QUICK, "", *step_lines(steps)], counts)
        compared, judged = _compared(con, plan, width) if plan.axis else ([], False)
        compared += _not_yet_known(con, plan)
    measured = Measured(
        experiment=name,
        by=plan.axis if judged else "",
        baseline=plan.request.experiment.baseline,
        trial=cells[-1].id if cells else None,
        energy=any(cell.joules_per_token for cell in cells),
        answers=any(job.keep_text for job in plan.request.jobs),
    )
    return Ending([*lines, *compared, "", *next_lines(home, measured)], counts)


def _after_a_quick_look(command: str, cells: Sequence[ResultRow]) -> list[str]:
    """The measurement itself, which loads the model anew: one that the look has found in memory
    would be waited for until nobody uses it."""
    if " --quick" not in command:
        return []
    measured = command.replace(" --quick", "")
    if any("model_resident" in cell.flags.split() for cell in cells) and "--mine" not in command:
        return [f"{measured} --mine   (unloads what is in memory)"]
    return [measured]


def _request(plan: Plan) -> ComparisonRequest:
    """Return the comparison of this session that a plan declares."""
    return ComparisonRequest(
        axis=plan.axis or NO_AXIS,
        experiment=plan.request.experiment.name,
        where=f"session={plan.session}",
        baseline=plan.baseline,
    )


def _compared(con: Connection, plan: Plan, width: int | None) -> tuple[list[str], bool]:
    """The comparison in words, and whether there was something to compare."""
    try:
        found = compare(con, _request(plan))
    except UserError as problem:
        return ["", problem.what], False
    return ["", *comparison_lines(found, width)], True


def _not_yet_known(con: Connection, plan: Plan) -> list[str]:
    """What the stop rule asked for and did not reach; fixed repeats ask for no width."""
    repeats = plan.repeats
    if plan.request.role != "measure" or repeats.least == repeats.most:
        return []
    found = precisions(con, _request(plan))
    lines = precision_lines(wanted_precisions(found, plan), repeats.half_width_percent / 100)
    return ["", *lines] if lines else []


def wanted_precisions(found: Sequence[Precision], plan: Plan) -> list[Precision]:
    """Of each contrast of the plan, and of each cell in none; infinite where no value tells it."""
    wanted, compared = list[Precision](), set[Cell]()
    for contrast in plan.contrasts:
        compared |= contrast.cells
        pairs = [each for each in found if len(each.cells) > 1 and each.cells <= contrast.cells]
        sides = contrast.sides[0][0], contrast.sides[1][0]
        wanted += pairs or [_not_known(contrast.cells, plan, sides)]
    own = {cell: each for each in found if len(each.cells) == 1 for cell in each.cells}
    for trial in plan.trials():
        cell = trial.cell()
        if trial.role == "measure" and trial.block == 0 and cell not in compared:
            wanted.append(own.get(cell) or _not_known(frozenset([cell]), plan))
    return wanted


def _not_known(cells: frozenset[Cell], plan: Plan, sides: tuple[str, ...] = ()) -> Precision:
    names = {each.machine.machine_id: each.machine.name for each in plan.machines}
    machines, models, jobs, settings = (sorted(set(part)) for part in zip(*cells, strict=True))
    shared = set.intersection(*(set(text.split()) for text in settings))
    return Precision(
        cells=cells,
        half_width=math.inf,
        metric="",
        sides=sides,
        machine=names.get(machines[0]) if len(machines) == 1 else None,
        model=models[0] if len(models) == 1 else None,
        job=jobs[0] if len(jobs) == 1 else "",
        settings=" ".join(part for part in settings[0].split() if part in shared),
    )
