"""What submit prints at its end, and the interval widths for its stop rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.app.interrupts import interruptible
from fleet.compare.comparison import compare
from fleet.compare.precision import Precision, precisions, widths
from fleet.compare.request import NO_AXIS, ComparisonRequest
from fleet.errors import StoreUnusable, UserError
from fleet.folders import results_folder, with_home
from fleet.model.event import Finished
from fleet.model.experiment import is_quick
from fleet.plan.plans import Cell, Plan, PlannedContrast
from fleet.query.open_store import WITH_READINGS, generations, open_store
from fleet.query.results import RESULT_VIEWS, ResultRow, results
from fleet.query.trial_speeds import TrialSpeeds
from fleet.report.comparison_text import comparison_lines, results_lines
from fleet.report.next_text import StoredExperiment, next_lines, step_lines
from fleet.report.precision_text import precision_lines

QUICK = "a quick look: one block, answers cut after 3 s, no waiting; it gives no verdict"

if TYPE_CHECKING:
    from fleet.query.open_store import Connection


class Widths:
    """The interval widths that the stop rule reads after each block.

    The results stay open in between. A packer moves them into a new generation, which is another
    folder: then they are opened anew.
    """

    def __init__(self, home: Path, plan: Plan) -> None:
        self._folder = results_folder(home)
        self._request = _request(plan)
        self._opened: tuple[list[Path], Connection] | None = None

    @interruptible()
    def read(self, wanted: Sequence[PlannedContrast]) -> dict[frozenset[Cell], float]:
        """Return the widest ratio of each contrast, and the width of each cell that stands alone.

        Unknown ones are left out.
        """
        known = widths(self._store(), self._request)
        result = {cells: width for cells, width in known.items() if len(cells) == 1}
        for contrast in wanted:
            pairs = [w for cells, w in known.items() if len(cells) > 1 and cells <= contrast.cells]
            if pairs:
                result[contrast.cells] = max(pairs)
        return result

    def close(self) -> None:
        """Close the results."""
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
def with_speeds(event: Finished, speeds: TrialSpeeds) -> Finished:
    """Return the event of a stored trial with its speeds, as the views compute them.

    The measurement continues if they cannot be read now, since its rows are stored.
    """
    if event.result.outcome != "ok":
        return event
    try:
        return replace(event, speeds=speeds.words(event.result))
    except StoreUnusable:
        return replace(event, speeds="its speeds cannot be read now")


@dataclass(frozen=True, slots=True)
class Ending:
    """The last output of a submit."""

    lines: list[str]
    counts: bool
    """Whether any request counts; if not, the flags of the rows say why."""


@interruptible()
def ending(home: Path, plan: Plan, width: int | None = None, *, command: str = "") -> Ending:
    """Return the results, the comparison if there is one, and what to type next.

    `width`: columns of the terminal; None: a file or a pipe. `command`: as typed.
    """
    name, views = plan.request.experiment.name, (*RESULT_VIEWS, "speeds")
    with closing(open_store([results_folder(home)], WITH_READINGS, views)) as con:
        cells = [cell for cell in results(con, name) if cell.session == plan.session]
        lines = results_lines(cells, width)
        counts = any(cell.valid for cell in cells)
        if is_quick(plan.request):
            steps = _after_a_quick_look(command, cells)
            steps.append(with_home(f"fleet results {name}", home))
            return Ending([*lines, "", QUICK, "", *step_lines(steps)], counts)
        compared, judged = _compared(con, plan, width) if plan.axis else ([], False)
        compared += _not_yet_known(con, plan)
    stored = StoredExperiment(
        name=name,
        axis=plan.axis if judged else "",
        baseline=plan.request.experiment.baseline,
        trial=cells[-1].id if cells else None,
        energy=any(cell.joules_per_token for cell in cells),
        answers=any(job.keep_text for job in plan.request.jobs),
    )
    return Ending([*lines, *compared, "", *next_lines(home, stored)], counts)


def _after_a_quick_look(command: str, cells: Sequence[ResultRow]) -> list[str]:
    """Return the command of the full measurement, which loads the model anew.

    It would wait for a model that the quick look found in memory, unless that is unloaded.
    """
    if " --quick" not in command:
        return []
    measured = command.replace(" --quick", "")
    if any("model_resident" in cell.flags.split() for cell in cells) and "--mine" not in command:
        return [f"{measured} --mine   (unloads what is in memory)"]
    return [measured]


def _request(plan: Plan) -> ComparisonRequest:
    """Return the comparison of this session that the plan declares."""
    return ComparisonRequest(
        axis=plan.axis or NO_AXIS,
        experiment=plan.request.experiment.name,
        where=f"session={plan.session}",
        baseline=plan.baseline,
    )


def _compared(con: Connection, plan: Plan, width: int | None) -> tuple[list[str], bool]:
    """Return the comparison as text, and whether there was something to compare."""
    try:
        comparison = compare(con, _request(plan))
    except UserError as problem:
        return ["", problem.what], False
    return ["", *comparison_lines(comparison, width)], True


def _not_yet_known(con: Connection, plan: Plan) -> list[str]:
    """Name the widths that the stop rule did not reach; fixed repeats ask for none."""
    repeats = plan.repeats
    if plan.request.role != "measure" or repeats.least == repeats.most:
        return []
    reached = precisions(con, _request(plan))
    lines = precision_lines(wanted_precisions(reached, plan), repeats.half_width_percent / 100)
    return ["", *lines] if lines else []


def wanted_precisions(reached: Sequence[Precision], plan: Plan) -> list[Precision]:
    """Return those of each contrast, and of each cell in none; infinite if unknown."""
    wanted, compared = list[Precision](), set[Cell]()
    for contrast in plan.contrasts:
        compared |= contrast.cells
        pairs = [each for each in reached if len(each.cells) > 1 and each.cells <= contrast.cells]
        sides = contrast.sides[0][0], contrast.sides[1][0]
        wanted += pairs or [_not_known(contrast.cells, plan, sides)]
    own = {cell: each for each in reached if len(each.cells) == 1 for cell in each.cells}
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
