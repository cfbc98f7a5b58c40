"""When a cell has been measured often enough, or takes far too long; pure.

A contrast is a group of cells that are compared with one another. It stops when its ratio is
known closely enough, never because of a p value. A cell that is compared with no other stops when
its own median is.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.errors import UnknownName
from fleet.identity import canonical_json
from fleet.model.experiment import Repeats, Request
from fleet.model.machine import FactValue, Machine
from fleet.model.settings import SETTINGS
from fleet.model.trial import Trial
from fleet.plan.expand import Cell, Plan
from fleet.plan.selection import did_you_mean

OVER_ESTIMATE = 3.0
WORTH_CUTTING_S = 30.0
"""A shorter trial is never cut: what it costs is less than what its rows lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Cells equal in all but the axis, by the value they have on it."""

    axis: str
    sides: tuple[tuple[str, frozenset[Cell]], ...]
    """(value on the axis, its cells), at least two, in the order of the experiment."""

    @property
    def cells(self) -> frozenset[Cell]:
        return frozenset().union(*(cells for _, cells in self.sides))


def axis(request: Request, machines: Sequence[Machine]) -> str:
    """What is compared: `num_batch`, `machine`, `model`, `memory_gb`; empty: nothing varies.

    Raises UnknownName for a `compare_by` that is no setting and no fact of these machines.
    """
    experiment = request.experiment
    if experiment.compare_by is not None:
        known = _known_axes(machines)
        if experiment.compare_by not in known:
            raise UnknownName(
                f"compare_by: {experiment.compare_by} is nothing to compare by"
                f"{did_you_mean(experiment.compare_by, known)}",
                f"there are {', '.join(known)}",
            )
        return experiment.compare_by
    if experiment.settings.axes():
        return experiment.settings.axes()[0]
    if len({machine.machine_id for machine in machines}) > 1:
        return "machine"
    return "model" if len(set(experiment.models)) > 1 else ""


def contrasts(plan: Plan) -> tuple[Contrast, ...]:
    """The declared contrasts: along the one axis, all else equal; one-sided ones are none."""
    by = axis(plan.request, [machine.machine for machine in plan.machines])
    groups: dict[Hashable, dict[FactValue, tuple[str, set[Cell]]]] = {}
    for machine, trial in _one_of_each_cell(plan) if by else ():
        key, side = _side(by, machine, trial)
        if key is not None:
            sides = groups.setdefault(_held(by, trial), {})
            sides.setdefault(key, (side, set()))[1].add(trial.cell())
    return tuple(
        Contrast(axis=by, sides=tuple((side, frozenset(cells)) for side, cells in sides.values()))
        for sides in groups.values()
        if len(sides) > 1
    )


def stopped(
    waiting: Iterable[Trial],
    contrasts: Sequence[Contrast],
    *,
    widths: Mapping[frozenset[Cell], float],
    done_blocks: Mapping[Cell, int],
    repeats: Repeats,
    lost: Collection[Cell] = (),
    begun: Mapping[str, int] = {},
) -> frozenset[str]:
    """Ids among the waiting trials that are no longer wanted; of canaries none.

    The A/A pair of a control goes with its cell; a run that is all A/A is measured whole.

    `widths`: by `Contrast.cells`, the widest ratio half-width as a fraction (0.021); a contrast
    without one is not known yet. By a cell alone, that of its own interval: it counts where the
    cell is in no contrast, and one without any value ends at `least`. `done_blocks`: by cell,
    blocks measured well. `lost`: cells that fail for good: no contrast waits for them. `begun`: by
    machine id, the block that it works on: that one is measured to its end, so that every block is
    whole. Every cell ends at `most`.
    """
    gone = frozenset(lost)
    real = [contrast for contrast in contrasts if len(_measurable(contrast, gone)) > 1]
    compared = frozenset().union(*(contrast.cells for contrast in real))
    still_open = frozenset().union(
        *(c.cells for c in real if not _known_well(c, widths, done_blocks, repeats, gone)),
        *(
            alone
            for alone, width in widths.items()
            if len(alone) == 1 and not alone & compared and not _close(width, repeats)
        ),
    )

    waiting = list(waiting)
    measured = {trial.cell() for trial in waiting if trial.role == "measure"}

    def ended(cell: Cell) -> bool:
        done = done_blocks.get(cell, 0)
        return done >= repeats.most or (done >= repeats.least and cell not in still_open)

    return frozenset(
        trial.trial_id
        for trial in waiting
        if trial.role != "canary"
        and trial.cell() in measured
        and trial.block > begun.get(trial.machine_id, -1)
        and ended(trial.cell())
    )


def cut(trial: Trial, seconds_seen: float) -> Trial:
    """One request per point from here on, where the cell took over three times its estimate."""
    if trial.cut or seconds_seen <= max(OVER_ESTIMATE * trial.estimate_s, WORTH_CUTTING_S):
        return trial
    points = len(trial.job.points)
    before = trial.job.requests * points + trial.job.warmup
    share = (points + trial.job.warmup) / before
    return replace(trial, cut=True, estimate_s=seconds_seen * share)


def _known_axes(machines: Sequence[Machine]) -> list[str]:
    facts = sorted({fact.name for machine in machines for fact in machine.fingerprint.facts})
    return list(dict.fromkeys(["machine", "model", "job", *SETTINGS, *facts]))


def _one_of_each_cell(plan: Plan) -> list[tuple[Machine, Trial]]:
    """In the order of the experiment, since the blocks are shuffled."""
    experiment = plan.request.experiment
    jobs = [job.name for job in plan.request.jobs]
    settings = [canonical_json(each) for each in experiment.settings.combinations()]
    cells = {
        trial.cell(): (machine.machine, trial)
        for machine in plan.machines
        for trial in machine.trials
        if trial.role == "measure"
    }
    return sorted(
        cells.values(),
        key=lambda pair: (
            experiment.models.index(pair[1].model),
            jobs.index(pair[1].job.name),
            settings.index(canonical_json(pair[1].settings)),
        ),
    )


def _side(axis: str, machine: Machine, trial: Trial) -> tuple[FactValue, str]:
    """(what tells the sides apart, the words for this one); None: the machine cannot tell."""
    if axis == "machine":
        return machine.machine_id, machine.name
    value: FactValue
    if axis in ("model", "job"):
        value = trial.model if axis == "model" else trial.job.name
    elif axis in SETTINGS:
        value = trial.settings.get(axis)
    else:
        value = machine.fingerprint.get(axis)
    return value, str(value)


def _held(axis: str, trial: Trial) -> Hashable:
    """What must be equal for two cells to be in one contrast."""
    others = {name: value for name, value in trial.settings.items() if name != axis}
    by_machine = axis in ("model", "job") or axis in SETTINGS
    return (
        trial.machine_id if by_machine else "",
        trial.model if axis != "model" else "",
        trial.job.name if axis != "job" else "",
        canonical_json(others),
    )


def _known_well(
    contrast: Contrast,
    widths: Mapping[frozenset[Cell], float],
    done_blocks: Mapping[Cell, int],
    repeats: Repeats,
    lost: frozenset[Cell],
) -> bool:
    measurable = _measurable(contrast, lost)
    if any(done_blocks.get(c, 0) < repeats.least for cells in measurable for c in cells):
        return False
    width = widths.get(contrast.cells)
    return width is not None and _close(width, repeats)


def _measurable(contrast: Contrast, lost: frozenset[Cell]) -> list[frozenset[Cell]]:
    return [cells - lost for _, cells in contrast.sides if cells - lost]


def _close(width: float, repeats: Repeats) -> bool:
    return width <= repeats.half_width_percent / 100
