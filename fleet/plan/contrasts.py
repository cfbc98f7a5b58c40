"""Which cells of a plan are compared with one another, and by what; pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from fleet.errors import UnknownName
from fleet.identity import canonical_json
from fleet.model.experiment import Request
from fleet.model.machine import FactValue, Machine
from fleet.model.settings import SETTINGS
from fleet.model.trial import Trial
from fleet.plan.plans import Cell, MachinePlan, PlannedContrast
from fleet.plan.selection import did_you_mean


def axis_of(request: Request, machines: Sequence[Machine]) -> str:
    """Return what is compared: `num_batch`, `machine`, `model`, `memory_gb`; empty: nothing varies.

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


def contrasts_of(
    request: Request, axis: str, machines: Sequence[MachinePlan]
) -> tuple[PlannedContrast, ...]:
    """Return every group of cells that differ in the axis alone and have two sides or more."""
    groups: dict[Hashable, dict[FactValue, tuple[str, set[Cell]]]] = {}
    for machine, trial in _one_trial_of_each_cell(request, machines) if axis else ():
        value, name = _side(axis, machine, trial)
        if value is not None:
            sides = groups.setdefault(_shared_by_sides(axis, trial), {})
            sides.setdefault(value, (name, set()))[1].add(trial.cell())
    return tuple(
        PlannedContrast(
            axis=axis, sides=tuple((name, frozenset(cells)) for name, cells in sides.values())
        )
        for sides in groups.values()
        if len(sides) > 1
    )


def _known_axes(machines: Sequence[Machine]) -> list[str]:
    facts = sorted({fact.name for machine in machines for fact in machine.fingerprint.facts})
    return list(dict.fromkeys(["machine", "model", "job", *SETTINGS, *facts]))


def _one_trial_of_each_cell(
    request: Request, machines: Sequence[MachinePlan]
) -> Iterator[tuple[Machine, Trial]]:
    """Yield them in the order of the experiment, since the blocks are shuffled."""
    experiment = request.experiment
    jobs = [job.name for job in request.jobs]
    settings = [canonical_json(each) for each in experiment.settings.combinations()]
    cells = {
        trial.cell(): (plan.machine, trial)
        for plan in machines
        for trial in plan.trials
        if trial.role == "measure"
    }
    yield from sorted(
        cells.values(),
        key=lambda pair: (
            experiment.models.index(pair[1].model),
            jobs.index(pair[1].job.name),
            settings.index(canonical_json(pair[1].settings)),
        ),
    )


def _side(axis: str, machine: Machine, trial: Trial) -> tuple[FactValue, str]:
    """Return the value that tells sides apart, None where it is unknown, and its name."""
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


def _shared_by_sides(axis: str, trial: Trial) -> Hashable:
    """Return what must be equal for two cells to be in one contrast."""
    others = {name: value for name, value in trial.settings.items() if name != axis}
    within_machine = axis in ("model", "job") or axis in SETTINGS
    return (
        trial.machine_id if within_machine else "",
        trial.model if axis != "model" else "",
        trial.job.name if axis != "job" else "",
        canonical_json(others),
    )
