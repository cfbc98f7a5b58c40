"""From the store to answers: what submit prints at its end, and what its stop rule asks."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.app.interrupts import interruptible
from fleet.compare.axes import check_axis
from fleet.compare.comparison import compare
from fleet.compare.noise import noise_floors
from fleet.compare.precision_text import precision_lines
from fleet.compare.reader import WITH_READINGS, generations, open_store
from fleet.compare.results import RESULT_VIEWS, results
from fleet.compare.text import comparison_lines, results_lines
from fleet.compare.widths import Precision, precisions, widths
from fleet.errors import UserError
from fleet.plan.expand import Cell, Plan
from fleet.plan.stopping import Contrast, axis, contrasts
from fleet.wiring import results_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def contrast_axis(plan: Plan) -> str:
    """What the plan compares by, empty where nothing varies; refuses what compare cannot do."""
    by = axis(plan.request, [planned.machine for planned in plan.machines])
    return check_axis(by) if by else ""


class Widths:
    """What the stop rule asks after each block; the store stays open in between.

    A packer moves what was stored into a new generation, which is another folder: then it is
    opened anew.
    """

    def __init__(self, home: Path, plan: Plan) -> None:
        self._folder = results_folder(home)
        self._plan = plan
        self._by = contrast_axis(plan)
        self._opened: tuple[list[Path], DuckDBPyConnection] | None = None

    @interruptible()
    def read(self, wanted: Sequence[Contrast]) -> dict[frozenset[Cell], float]:
        """The widest ratio of each contrast so far, and the width of each cell that stands alone.

        One that is not known at all is left out.
        """
        name, session = self._plan.request.experiment.name, self._plan.session
        con = self._store()
        known = widths(con, name, session, self._by, _baseline(self._plan), noise_floors)
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

    def _store(self) -> DuckDBPyConnection:
        now = generations([self._folder])
        if self._opened is None or self._opened[0] != now:
            self.close()
            self._opened = now, open_store([self._folder])
        return self._opened[1]


@interruptible()
def answer_lines(home: Path, plan: Plan) -> list[str]:
    """Results, the comparison if there is one, and what to type next."""
    name = plan.request.experiment.name
    views = (*RESULT_VIEWS, "speeds")
    with closing(open_store([results_folder(home)], WITH_READINGS, views)) as con:
        cells = results(con, name)
        lines = results_lines(cells)
        by = contrast_axis(plan)
        if by:
            try:
                found = compare(
                    con,
                    by=by,
                    experiment=name,
                    where=f"session={plan.session}",
                    baseline=_baseline(plan),
                    floors=noise_floors,
                )
            except UserError as problem:
                lines += ["", problem.what]
            else:
                lines += ["", *comparison_lines(found)]
        lines += _not_yet_known(con, plan)
    energy = any(cell.joules_per_token for cell in cells)
    baseline = plan.request.experiment.baseline
    return [*lines, "", *next_lines(home, name, by, energy=energy, baseline=baseline)]


def _not_yet_known(con: DuckDBPyConnection, plan: Plan) -> list[str]:
    """What the stop rule asked for and did not reach; fixed repeats ask for no width."""
    repeats = plan.repeats
    if plan.request.role != "measure" or repeats.least == repeats.most:
        return []
    name, by = plan.request.experiment.name, contrast_axis(plan)
    found = precisions(con, name, plan.session, by, _baseline(plan), noise_floors)
    lines = precision_lines(wanted_precisions(found, plan), repeats.half_width_percent / 100)
    return ["", *lines] if lines else []


def wanted_precisions(found: Sequence[Precision], plan: Plan) -> list[Precision]:
    """Of each contrast of the plan, and of each cell in none; infinite where no value tells it."""
    wanted, compared = list[Precision](), set[Cell]()
    for contrast in contrasts(plan):
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


def _baseline(plan: Plan) -> str | None:
    """The one the experiment names, else the first side in its order."""
    named = plan.request.experiment.baseline
    declared = contrasts(plan)
    return named or (declared[0].sides[0][0] if declared else None)


def next_lines(
    home: Path, name: str, by: str, *, energy: bool = False, baseline: str | None = None
) -> list[str]:
    compared = f"fleet compare {name} --by {by or 'machine'}"
    compared += f" --baseline {baseline}" if baseline else ""
    joules = [f"       fleet energy show {name}    {compared} --metric energy"] if energy else []
    return [
        f"next:  fleet results {name}    {compared}    fleet sql 'from cells'",
        *joules,
        f"       cd {shlex.quote(str(results_folder(home)))} && duckdb -init views.sql",
    ]
