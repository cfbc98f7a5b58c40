"""When a cell has been measured often enough, or takes far too long; pure.

A contrast is a group of cells that are compared with one another. It ends when its ratio is known
closely enough, never because of a p value. A cell that is compared with no other ends when its own
median is known closely enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fleet.model.experiment import Repeats
from fleet.model.trial import Trial
from fleet.plan.plans import Cell, PlannedContrast

OVER_ESTIMATE = 3.0
WORTH_CUTTING_S = 30.0
"""A shorter trial is never cut: what it costs is less than what its rows lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is known of an experiment while it is measured."""

    widths: Mapping[frozenset[Cell], float] = field(default_factory=dict)
    """By the cells of a contrast, the widest half-width of its ratios as a fraction (0.021); a
    contrast without one is not known yet. By a single cell, that of its own interval: it counts
    where the cell is in no contrast, and a cell without any ends at `least`."""
    done_blocks: Mapping[Cell, int] = field(default_factory=dict)
    """Blocks that were measured well."""
    lost: Collection[Cell] = ()
    """Cells that fail for good: no contrast waits for them."""
    begun: Mapping[str, int] = field(default_factory=dict)
    """By machine id, the block that it works on: that one is measured to its end, so that every
    block is whole."""


def stopped(
    waiting: Iterable[Trial],
    contrasts: Sequence[PlannedContrast],
    repeats: Repeats,
    progress: Progress,
) -> frozenset[str]:
    """Return the ids of the waiting trials that are no longer needed; no canary is among them.

    Every cell ends at `most`. The A/A pair of a control ends with its cell; a noise run is
    measured whole.
    """
    waiting = list(waiting)
    measured = {trial.cell() for trial in waiting if trial.role == "measure"}
    still_open = _open_cells(contrasts, repeats, progress)

    def ended(cell: Cell) -> bool:
        blocks = progress.done_blocks.get(cell, 0)
        return blocks >= repeats.most or (blocks >= repeats.least and cell not in still_open)

    return frozenset(
        trial.trial_id
        for trial in waiting
        if trial.role != "canary"
        and trial.cell() in measured
        and trial.block > progress.begun.get(trial.machine_id, -1)
        and ended(trial.cell())
    )


def cut(trial: Trial, seconds_seen: float) -> Trial:
    """Reduce the trial to one request per point, if its cell took over three times its estimate."""
    if trial.cut or seconds_seen <= max(OVER_ESTIMATE * trial.estimate_s, WORTH_CUTTING_S):
        return trial
    points = len(trial.job.points)
    before = trial.job.requests * points + trial.job.warmup
    share = (points + trial.job.warmup) / before
    return replace(trial, cut=True, estimate_s=seconds_seen * share)


def _open_cells(
    contrasts: Sequence[PlannedContrast], repeats: Repeats, progress: Progress
) -> frozenset[Cell]:
    """Return the cells of which more is to be known."""
    real = [contrast for contrast in contrasts if len(_measurable(contrast, progress)) > 1]
    compared = frozenset().union(*(contrast.cells for contrast in real))
    return frozenset().union(
        *(each.cells for each in real if not _known_well(each, repeats, progress)),
        *(
            cells
            for cells, width in progress.widths.items()
            if len(cells) == 1 and not cells & compared and not _close(width, repeats)
        ),
    )


def _known_well(contrast: PlannedContrast, repeats: Repeats, progress: Progress) -> bool:
    for cells in _measurable(contrast, progress):
        if any(progress.done_blocks.get(cell, 0) < repeats.least for cell in cells):
            return False
    width = progress.widths.get(contrast.cells)
    return width is not None and _close(width, repeats)


def _measurable(contrast: PlannedContrast, progress: Progress) -> list[frozenset[Cell]]:
    """Return the cells of each side that can still be measured, without sides that have none."""
    lost = frozenset(progress.lost)
    return [cells - lost for _, cells in contrast.sides if cells - lost]


def _close(width: float, repeats: Repeats) -> bool:
    return width <= repeats.half_width_percent / 100
