"""From the store to answers: what submit prints at its end, and what its stop rule asks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.compare.axes import check_axis
from fleet.compare.comparison import compare
from fleet.compare.reader import open_store
from fleet.compare.results import results
from fleet.compare.text import comparison_lines, results_lines
from fleet.compare.widths import widths
from fleet.errors import UserError
from fleet.plan.expand import Cell, Plan
from fleet.plan.stopping import Contrast, axis, contrasts
from fleet.wiring import results_folder


def contrast_axis(plan: Plan) -> str:
    """What the plan compares by, empty where nothing varies; refuses what compare cannot do."""
    by = axis(plan.request, [planned.machine for planned in plan.machines])
    return check_axis(by) if by else ""


@interruptible()
def contrast_widths(
    home: Path, plan: Plan, wanted: Sequence[Contrast]
) -> dict[frozenset[Cell], float]:
    """The widest ratio of each contrast so far; one not known at all is left out."""
    by = contrast_axis(plan)
    if not by:
        return {}
    name = plan.request.experiment.name
    with closing(open_store([results_folder(home)])) as con:
        pairs = widths(con, name, plan.session, by, _baseline(plan))
    found = {}
    for contrast in wanted:
        known = [width for cells, width in pairs.items() if cells <= contrast.cells]
        if known:
            found[contrast.cells] = max(known)
    return found


@interruptible()
def answer_lines(home: Path, plan: Plan) -> list[str]:
    """Results, the comparison if there is one, and what to type next."""
    name = plan.request.experiment.name
    with closing(open_store([results_folder(home)])) as con:
        lines = results_lines(results(con, name))
        by = contrast_axis(plan)
        if by:
            try:
                found = compare(
                    con,
                    by=by,
                    experiment=name,
                    where=f"session={plan.session}",
                    baseline=_baseline(plan),
                )
            except UserError as problem:
                lines += ["", problem.what]
            else:
                lines += ["", *comparison_lines(found)]
    return [*lines, "", *next_lines(home, name, by)]


def _baseline(plan: Plan) -> str | None:
    """The one the experiment names, else the first side in its order."""
    named = plan.request.experiment.baseline
    declared = contrasts(plan)
    return named or (declared[0].sides[0][0] if declared else None)


def next_lines(home: Path, name: str, by: str) -> list[str]:
    compared = f"fleet compare {name} --by {by or 'machine'}"
    return [
        f"next:  fleet results {name}    {compared}    fleet sql 'from cells'",
        f"       cd {results_folder(home)} && duckdb -init views.sql",
    ]
