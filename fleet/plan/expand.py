"""Expands an experiment and its machines into trials in blocks, with a time estimate; pure.

The same input gives the same plan. Ids follow from what is asked alone, so that a plan made again
later, or with another order of machines, names the same trials.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fleet.errors import PlanRefused
from fleet.model.experiment import Experiment, Repeats, Request
from fleet.model.machine import Machine
from fleet.model.trial import Role, Trial, show_settings, trial_id
from fleet.plan import canaries
from fleet.plan.absent import AbsentMachine
from fleet.plan.contrasts import axis_of, contrasts_of
from fleet.plan.counting import Counting
from fleet.plan.estimate import idle_s, prior_s, rest_s
from fleet.plan.plans import NO_OPTIONS
from fleet.plan.plans import AbsentPlan as AbsentPlan
from fleet.plan.plans import Cell as Cell
from fleet.plan.plans import MachinePlan as MachinePlan
from fleet.plan.plans import Plan as Plan
from fleet.plan.plans import PlanOptions as PlanOptions
from fleet.plan.plans import Pull as Pull
from fleet.plan.plans import Redo as Redo
from fleet.plan.refusals import controls
from fleet.plan.refusals.gated import refused_gates
from fleet.plan.refusals.limits import limit_changes, limit_conflicts, refused_settings
from fleet.plan.refusals.prompt_cache import short_of_cache
from fleet.plan.refusals.restarts import refused_restarts, restarts
from fleet.plan.refusals.unchecked_version import unchecked_versions
from fleet.plan.refusals.unfit import (
    Exclusions,
    PlanWarning,
    Shape,
    exclusions_of,
    known_sizes,
)
from fleet.plan.refusals.unfit import LeftOut as LeftOut
from fleet.plan.refusals.without_effect import without_effect
from fleet.plan.selection import Selection, narrow, selection_of
from fleet.units import show_bytes

MOST_BLOCKS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One trial before it has its place in the queue."""

    shape: Shape
    block: int
    role: Role = "measure"
    side: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule:
    """What the machines of one plan share."""

    request: Request
    repeats: Repeats
    session: int
    sizes: Mapping[str, int]
    past_seconds: Mapping[Cell, float]


def expand(
    request: Request,
    machines: Sequence[Machine],
    options: PlanOptions = NO_OPTIONS,
    absent: Sequence[AbsentMachine] = (),
) -> Plan:
    """Return the trials of the selected machines in blocks, and what cannot run.

    Raises PlanRefused or UnknownName if the words of the experiment contradict each other.
    """
    selection = narrow(selection_of(request, machines), options.only)
    schedule = _schedule(request, known_sizes(selection.models, machines), options)
    exclusions = exclusions_of(
        selection, schedule.sizes, without_effect(selection), skip_unfit=options.skip_unfit
    )
    plans = _machine_plans(schedule, selection, exclusions)
    away = [_absent_plan(schedule, machine, exclusions.fitting.shapes) for machine in absent]
    counting = Counting(selection, request.role, schedule.repeats.most)
    axis = axis_of(request, [plan.machine for plan in plans])
    return Plan(
        request=request,
        repeats=schedule.repeats,
        session=options.session,
        machines=tuple(plans),
        axis=axis,
        contrasts=contrasts_of(request, axis, plans),
        absent=tuple(away),
        left_trials=(*counting.left(exclusions), *counting.left_absent(exclusions, away)),
        trials_asked=counting.trials_asked(plans, away),
        left_out=exclusions.left_out,
        warnings=(*exclusions.warnings, *_warnings(selection, plans)),
        refusals=(*_refusals(request.experiment, selection), *_nothing_left(plans)),
        limits=tuple(limit_changes(selection.combinations, selection.ready)),
        restarts=tuple(restarts(request.experiment, selection.ready)),
    )


def _warnings(selection: Selection, plans: Sequence[MachinePlan]) -> Iterator[PlanWarning]:
    yield from unchecked_versions(selection.ready)
    yield from short_of_cache(selection)
    yield from _full_disks(plans)
    yield from _limit_warnings(selection)


def _limit_warnings(selection: Selection) -> Iterator[PlanWarning]:
    for name, conflict in limit_conflicts(selection.combinations, selection.ready):
        yield PlanWarning(machine=name, model="", what=conflict)


def _refusals(experiment: Experiment, selection: Selection) -> Iterator[str]:
    ready = selection.ready
    yield from refused_settings(selection.combinations, ready, experiment.below_default)
    yield from refused_restarts(experiment, ready)
    yield from refused_gates(experiment, ready)


def _repeats(experiment: Experiment, given: int | None) -> Repeats:
    wanted = experiment.repeats if given is None else given
    if isinstance(wanted, Repeats):
        if wanted.least > wanted.most:
            raise PlanRefused(
                f"repeats: least is {wanted.least} and most is {wanted.most}",
                f"give both, least first: {{least: {wanted.most}, most: {wanted.most}}}",
            )
        return wanted
    if not 1 <= wanted <= MOST_BLOCKS:
        raise PlanRefused(f"repeats: {wanted} is not between 1 and {MOST_BLOCKS}")
    return Repeats(least=wanted, most=wanted)


def _schedule(request: Request, sizes: Mapping[str, int], options: PlanOptions) -> _Schedule:
    return _Schedule(
        request=request,
        repeats=_repeats(request.experiment, options.repeats),
        session=options.session,
        sizes=sizes,
        past_seconds=options.past_seconds,
    )


def _machine_plans(
    schedule: _Schedule, selection: Selection, exclusions: Exclusions
) -> list[MachinePlan]:
    every = (_machine_plan(schedule, each, exclusions.shapes_on(each)) for each in selection.ready)
    return [plan for plan in every if plan.trials]


def _machine_plan(schedule: _Schedule, machine: Machine, shapes: Sequence[Shape]) -> MachinePlan:
    steps = list(_steps(schedule, machine, shapes)) if shapes else []
    each = {id(step.shape): step.shape for step in steps}
    estimates = {key: _estimate_s(schedule, machine, shape) for key, shape in each.items()}
    trials = tuple(
        _trial(schedule, machine, step, position, estimates[id(step.shape)])
        for position, step in enumerate(steps)
    )
    missing = dict.fromkeys(s.model for s in shapes if machine.model(s.model) is None)
    pulls = tuple(Pull(model=model, size_bytes=schedule.sizes.get(model)) for model in missing)
    return MachinePlan(machine=machine, trials=trials, pulls=pulls)


def _absent_plan(
    schedule: _Schedule, machine: AbsentMachine, shapes: Sequence[Shape]
) -> AbsentPlan:
    """Plan the trials with the ids that they would have if the machine were there."""
    stand_in = machine.as_last_seen(schedule.request.experiment.engine.kind)
    if stand_in is None or not machine.known.expected:
        return AbsentPlan(machine=machine)
    trials = _machine_plan(schedule, stand_in, shapes).trials
    return AbsentPlan(machine=machine, trials=trials)


def _steps(schedule: _Schedule, machine: Machine, shapes: Sequence[Shape]) -> Iterator[_Step]:
    """Yield every cell once in each block, twice in a noise run, with canaries around the blocks.

    A control adds an A/A pair of each baseline cell.
    """
    canary = canaries.shape(shapes) if _has_canaries(schedule) else None
    for block in range(schedule.repeats.most):
        if canary is not None:
            yield _Step(shape=canary, block=block, role="canary")
        yield from _shuffled(schedule, machine, block, shapes)
    if canary is not None:
        yield _Step(shape=canary, block=schedule.repeats.most, role="canary")


def _has_canaries(schedule: _Schedule) -> bool:
    """Tell whether canaries are measured; a noise run shows a drift by itself."""
    return schedule.request.role == "measure" and canaries.wanted(
        schedule.request.experiment, schedule.repeats
    )


def _shuffled(
    schedule: _Schedule, machine: Machine, block: int, shapes: Sequence[Shape]
) -> Sequence[_Step]:
    seed = f"{schedule.request.experiment.seed} {machine.machine_id} {schedule.session} {block}"
    request = schedule.request
    pairs: Sequence[Shape] = shapes if request.role == "noise" else ()
    order = [_Step(shape=s, block=block) for s in shapes if request.role == "measure"]
    if controls.wanted(request):
        pairs = controls.baseline_shapes(request.experiment, shapes)
    order += [
        _Step(shape=s, block=block, role="noise", side=side) for s in pairs for side in ("a", "b")
    ]
    random.Random(seed).shuffle(order)
    return order


def _trial(
    schedule: _Schedule, machine: Machine, step: _Step, position: int, estimate_s: float
) -> Trial:
    experiment, shape = schedule.request.experiment, step.shape
    trial = Trial(
        trial_id="",
        experiment=experiment.name,
        machine_id=machine.machine_id,
        machine=machine.name,
        model=shape.model,
        digest="",
        job=shape.job,
        engine=experiment.engine,
        settings=shape.settings,
        block=step.block,
        position=position,
        seed=experiment.seed,
        session=schedule.session,
        estimate_s=estimate_s,
        why=experiment.why,
        telemetry=None if experiment.telemetry == "off" else experiment.telemetry,
        role=step.role,
        side=step.side,
        cool_down=experiment.cool_down,
        restart_engine=experiment.restart_engine,
        gates=experiment.gate_rule(),
    )
    return replace(trial, trial_id=trial_id(trial))


def _estimate_s(schedule: _Schedule, machine: Machine, shape: Shape) -> float:
    cell = machine.machine_id, shape.model, shape.job.name, show_settings(shape.settings)
    experiment = schedule.request.experiment
    rest = rest_s(machine, experiment)
    if cell in schedule.past_seconds:
        return rest + schedule.past_seconds[cell]
    own = machine.model(shape.model)
    size = own.size_bytes if own else schedule.sizes.get(shape.model)
    prior = prior_s(machine, experiment.engine, shape.model, shape.job, size)
    return rest + idle_s(machine, experiment) + prior


def _full_disks(plans: Sequence[MachinePlan]) -> Iterator[PlanWarning]:
    for plan in plans:
        if plan.fits_disk is False:
            free = show_bytes(plan.machine.free_disk_bytes or 0)
            words = f"{show_bytes(plan.disk_bytes)} to pull, {free} of disk free"
            yield PlanWarning(machine=plan.machine.name, model="", what=words)


def _nothing_left(plans: Sequence[MachinePlan]) -> tuple[str, ...]:
    return () if plans else ("nothing is left to run: every cell is left out",)
