"""(experiment, jobs, machines) -> trials in blocks: pure, seeded, with a time estimate.

The same input gives the same plan. Ids come from what is asked alone, so a plan made again
later, or with another order of machines, names the same trials.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import PlanRefused
from fleet.model.experiment import Experiment, Repeats, Request
from fleet.model.machine import Machine
from fleet.model.settings import Settings, Value
from fleet.model.trial import Role, Trial, show_settings, trial_id
from fleet.plan import canaries
from fleet.plan.absent import AbsentMachine
from fleet.plan.counting import Counting
from fleet.plan.estimate import idle_s, prior_s, rest_s
from fleet.plan.plans import AbsentPlan as AbsentPlan
from fleet.plan.plans import Cell as Cell
from fleet.plan.plans import MachinePlan as MachinePlan
from fleet.plan.plans import Plan as Plan
from fleet.plan.plans import Pull as Pull
from fleet.plan.plans import Redo as Redo
from fleet.plan.refusals import controls
from fleet.plan.refusals.gated import refused_gates
from fleet.plan.refusals.limits import limit_changes, limit_conflicts, refused_settings
from fleet.plan.refusals.restarts import refused_restarts, restarts
from fleet.plan.refusals.unfit import LeftOut as LeftOut
from fleet.plan.refusals.unfit import (
    PlanWarning,
    Shape,
    fitting_shapes,
    known_sizes,
    silent_machine,
    skipped_for,
    spill_of,
    spilling,
    unmeasurable_models,
)
from fleet.plan.refusals.without_effect import without_effect
from fleet.plan.selection import Asked, asked, narrow
from fleet.units import show_bytes

DEFAULT_SETTINGS = {name: field.default for name, field in Settings.model_fields.items()}
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
    *,
    past_seconds: Mapping[Cell, float] = {},
    session: int = 0,
    only: Mapping[str, str] = {},
    repeats: int | None = None,
    skip_unfit: bool = False,
    absent: Sequence[AbsentMachine] = (),
) -> Plan:
    """Trials of the selected machines, in blocks.

    `past_seconds` holds what a trial of a cell took before; `absent` are machines that are meant
    and not there. Raises PlanRefused or UnknownName where the words contradict each other; what
    merely cannot run is in the plan.
    """
    wanted = narrow(asked(request, machines), only)
    schedule = _Schedule(
        request=request,
        repeats=_repeats(request.experiment, repeats),
        session=session,
        sizes=known_sizes(wanted.models, machines),
        past_seconds=past_seconds,
    )
    ready = [machine for machine in wanted.machines if machine.engine is not None]
    silent = [silent_machine(machine) for machine in wanted.machines if machine.engine is None]
    fitting = fitting_shapes(wanted)
    spills = spilling(ready, schedule.sizes, wanted.combinations)
    skipped, warned = (spills, {}) if skip_unfit else ({}, spills)
    unmeasurable = without_effect(ready, wanted) | unmeasurable_models(ready, wanted.models)

    def fits(machine: Machine, shape: Shape) -> bool:
        key = machine.machine_id, shape.model
        return key not in unmeasurable and spill_of(machine, shape) not in skipped

    plans = [_machine_plan(schedule, m, [s for s in fitting.shapes if fits(m, s)]) for m in ready]
    plans = [plan for plan in plans if plan.trials]
    away = [_absent_plan(schedule, machine, fitting.shapes) for machine in absent]
    counting = Counting(wanted, request.role, schedule.repeats.most)
    return Plan(
        request=request,
        repeats=schedule.repeats,
        session=session,
        machines=tuple(plans),
        absent=tuple(away),
        left_trials=(
            *counting.left(fitting, skipped, unmeasurable),
            *counting.left_absent(fitting, away),
        ),
        trials_asked=counting.trials_asked(plans, away),
        left_out=(
            *(*silent, *unmeasurable.values(), *fitting.left_out),
            *map(skipped_for, skipped.values()),
        ),
        warnings=(*warned.values(), *_full_disks(plans), *_limits_not_in_effect(wanted, ready)),
        refusals=(*_refusals(request.experiment, wanted, ready), *_nothing_left(plans)),
        limits=tuple(limit_changes(wanted.combinations, ready)),
        restarts=tuple(restarts(request.experiment, ready)),
    )


def _limits_not_in_effect(wanted: Asked, ready: Sequence[Machine]) -> Iterator[PlanWarning]:
    for name, conflict in limit_conflicts(wanted.combinations, ready):
        yield PlanWarning(machine=name, model="", what=conflict)


def _refusals(experiment: Experiment, wanted: Asked, ready: Sequence[Machine]) -> Iterator[str]:
    yield from refused_settings(wanted.combinations, ready, experiment.below_default)
    yield from refused_restarts(experiment, ready)
    yield from refused_gates(experiment, ready)


def _repeats(experiment: Experiment, given: int | None) -> Repeats:
    asked_for = experiment.repeats if given is None else given
    if isinstance(asked_for, Repeats):
        if asked_for.least > asked_for.most:
            raise PlanRefused(
                f"repeats: least is {asked_for.least} and most is {asked_for.most}",
                f"give both, least first: {{least: {asked_for.most}, most: {asked_for.most}}}",
            )
        return asked_for
    if not 1 <= asked_for <= MOST_BLOCKS:
        raise PlanRefused(f"repeats: {asked_for} is not between 1 and {MOST_BLOCKS}")
    return Repeats(least=asked_for, most=asked_for)


def _machine_plan(schedule: _Schedule, machine: Machine, shapes: Sequence[Shape]) -> MachinePlan:
    steps = list(_steps(schedule, machine, shapes)) if shapes else []
    each = {id(step.shape): step.shape for step in steps}
    estimates = {key: _estimate_s(schedule, machine, shape) for key, shape in each.items()}
    trials = tuple(
        _trial(schedule, machine, step, position, estimates[id(step.shape)])
        for position, step in enumerate(steps)
    )
    absent = dict.fromkeys(s.model for s in shapes if machine.model(s.model) is None)
    pulls = tuple(Pull(model=model, size_bytes=schedule.sizes.get(model)) for model in absent)
    return MachinePlan(machine=machine, trials=trials, pulls=pulls)


def _absent_plan(
    schedule: _Schedule, machine: AbsentMachine, shapes: Sequence[Shape]
) -> AbsentPlan:
    """Its trials have the ids that they would have if it were there."""
    stand_in = machine.as_last_seen(schedule.request.experiment.engine.kind)
    if stand_in is None or not machine.known.expected:
        return AbsentPlan(machine=machine)
    trials = _machine_plan(schedule, stand_in, shapes).trials
    return AbsentPlan(machine=machine, trials=trials)


def _steps(schedule: _Schedule, machine: Machine, shapes: Sequence[Shape]) -> Iterator[_Step]:
    """Every cell once in each block, or in an A/A run twice; canaries around the blocks.

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
    """An A/A run is a control by itself."""
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
    return Trial(
        trial_id=trial_id(
            experiment=experiment.name,
            machine_id=machine.machine_id,
            model=shape.model,
            job=shape.job,
            engine_kind=experiment.engine.kind,
            settings=_beside_defaults(shape.settings),
            block=step.block,
            session=schedule.session,
            role=step.role,
            side=step.side,
        ),
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


def _beside_defaults(settings: Mapping[str, Value]) -> dict[str, Value]:
    """A setting that a later version adds must not make new ids of old questions."""
    return {name: value for name, value in settings.items() if value != DEFAULT_SETTINGS[name]}


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
            needed, free = (
                show_bytes(plan.disk_bytes),
                show_bytes(plan.machine.free_disk_bytes or 0),
            )
            words = f"{needed} to pull, {free} of disk free"
            yield PlanWarning(machine=plan.machine.name, model="", what=words)


def _nothing_left(plans: Sequence[MachinePlan]) -> tuple[str, ...]:
    return () if plans else ("nothing is left to run: every cell is left out",)
