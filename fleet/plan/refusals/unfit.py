"""Which cells of an experiment cannot run, and the clause that forbids them; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import FleetError, FleetUnreachable, UserError
from fleet.model.job import Job, Point
from fleet.model.machine import Machine
from fleet.model.runners import MLX_FORMAT
from fleet.model.settings import CONTEXT_STEP, Value
from fleet.plan.refusals.limits import gpu_bytes_under
from fleet.plan.selection import Selection
from fleet.units import show_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What the experiment requests and will not run, with the clause that forbids it."""

    clause: str
    machine: str = ""
    """Empty, here and below: all of them."""
    model: str = ""
    setting: str = ""
    """`wired_limit_mb=65536` where only that combination is meant."""
    job: str = ""
    point: str = ""
    unmeasurable: bool = False
    """No setting and no job would help: that model cannot be measured on that machine."""

    @property
    def cell(self) -> str:
        """Model and setting in words."""
        return _cell(self.model, self.setting)

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.machine, self.cell, self.job)))
        return f"{where}: {self.clause}" if where else self.clause


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """What runs, but not as a reader may expect."""

    machine: str
    model: str
    """Empty: all models of the machine."""
    what: str
    setting: str = ""

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.machine, _cell(self.model, self.setting))))
        return f"{where}: {self.what}"


def _cell(model: str, setting: str) -> str:
    return f"{model} with {setting}" if model and setting else model or setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A cell before it has a machine; its job holds only the points that fit."""

    model: str
    job: Job
    settings: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Every model, job and combination whose points fit their context, and those that do not."""

    shapes: tuple[Shape, ...]
    left_out: tuple[LeftOut, ...]
    """Points, each named once; the cells that lose all their points are in `dropped` too."""
    dropped: Mapping[LeftOut, int]
    """By the clause of its first point, how many cells of each machine lose all their points."""


Spill = tuple[str, str, Value | None]
"""Machine id, model and requested wired limit; None: the limit as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """What a selection leaves out, and why."""

    selection: Selection
    fitting: Fitting
    unmeasurable: Mapping[tuple[str, str], LeftOut]
    """By machine id and model."""
    skipped: Mapping[Spill, PlanWarning]
    """Cells that would spill to the CPU and that the user leaves out."""
    warnings: tuple[PlanWarning, ...]
    """Cells that would spill to the CPU and that are measured."""

    def shapes_on(self, machine: Machine) -> list[Shape]:
        """Return the cells that this machine can measure."""
        return [
            shape
            for shape in self.fitting.shapes
            if (machine.machine_id, shape.model) not in self.unmeasurable
            and spill_of(machine, shape) not in self.skipped
        ]

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Everything that is left out, by what it belongs to: machine, model, point, setting."""
        silent = (machine for machine in self.selection.machines if machine.engine is None)
        return (
            *map(silent_machine, silent),
            *self.unmeasurable.values(),
            *self.fitting.left_out,
            *map(_left_out_by_choice, self.skipped.values()),
        )


def exclusions_of(
    selection: Selection,
    sizes: Mapping[str, int],
    without_effect: Mapping[tuple[str, str], LeftOut],
    *,
    skip_unfit: bool = False,
) -> Exclusions:
    """Return what the selection leaves out; `sizes`: bytes of each model that any machine has.

    `without_effect`: by machine id and model, axes that change nothing on the model's runner.
    """
    spills = spilling(selection.ready, sizes, selection.combinations)
    return Exclusions(
        selection=selection,
        fitting=fitting_shapes(selection),
        unmeasurable={
            **without_effect,
            **unmeasurable_models(selection.ready, selection.models),
        },
        skipped=spills if skip_unfit else {},
        warnings=() if skip_unfit else tuple(spills.values()),
    )


def fitting_shapes(selection: Selection) -> Fitting:
    """Return the cells with the points that fit, for any machine of the selection."""
    left_out: dict[LeftOut, None] = {}
    dropped: Counter[LeftOut] = Counter()
    fitted: list[tuple[Job, Mapping[str, Value]]] = []
    for job in selection.jobs:
        for settings in selection.combinations:
            context = int(settings["num_ctx"])
            clauses = {
                point: _too_long(job, point, context) or _one_at_a_time(selection, job, point)
                for point in job.points
            }
            left_out |= {clause: None for clause in clauses.values() if clause}
            kept = tuple(point for point, clause in clauses.items() if clause is None)
            if kept:
                fitted.append((job.model_copy(update={"points": kept}), settings))
            else:
                first = next(clause for clause in clauses.values() if clause)
                dropped[first] += len(selection.models)
    shapes = tuple(
        Shape(model=model, job=job, settings=settings)
        for model in selection.models
        for job, settings in fitted
    )
    return Fitting(shapes=shapes, left_out=tuple(left_out), dropped=dropped)


def _too_long(job: Job, point: Point, context: int) -> LeftOut | None:
    needed = job.least_tokens(point)
    if needed <= context:
        return None
    rounded = -(-needed // CONTEXT_STEP) * CONTEXT_STEP
    name = point.name(job.name)
    clause = f"{name} needs num_ctx >= {rounded}, settings.num_ctx is {context}"
    return LeftOut(job=job.name, point=name, clause=clause)


def _one_at_a_time(selection: Selection, job: Job, point: Point) -> LeftOut | None:
    """Refuse streams where the engine has none; all machines have the same kind of engine."""
    engines = [machine.engine for machine in selection.ready if machine.engine is not None]
    if point.concurrency == 1 or not engines or any(engine.concurrent for engine in engines):
        return None
    clause = f"{engines[0].kind} answers one request at a time, not {point.concurrency} streams"
    return LeftOut(job=job.name, point=point.name(job.name), clause=clause)


def silent_machine(machine: Machine) -> LeftOut:
    """Leave out a machine whose engine does not answer."""
    why = "; ".join(line.strip() for line in machine.engine_error.splitlines())
    return LeftOut(machine=machine.name, clause=why or "no engine answers there")


def no_engine(machines: Sequence[Machine]) -> FleetError:
    """Return the error for machines of which none has an engine that answers.

    It is a UserError if the engine's address is wrong on every one of them.
    """
    errors = "\n".join(f"{machine.name}: {machine.engine_error}" for machine in machines)
    if all(machine.wrong_address for machine in machines):
        return UserError(errors)
    return FleetUnreachable(f"no engine answers: {errors}")


def unmeasurable_models(
    machines: Sequence[Machine], models: Sequence[str]
) -> dict[tuple[str, str], LeftOut]:
    """Return, by machine id and model, the models that cannot be measured there."""
    pairs = ((machine, model, machine.model(model)) for machine in machines for model in models)
    return {
        (machine.machine_id, model): LeftOut(
            machine=machine.name, model=model, clause=facts.unmeasurable, unmeasurable=True
        )
        for machine, model, facts in pairs
        if facts is not None and facts.unmeasurable
    }


def known_sizes(models: Sequence[str], machines: Sequence[Machine]) -> dict[str, int]:
    """Return the bytes of each model that any machine has."""
    copies = ((model, machine.model(model)) for model in models for machine in machines)
    return {model: facts.size_bytes for model, facts in copies if facts is not None}


def spilling(
    machines: Sequence[Machine],
    sizes: Mapping[str, int],
    combinations: Sequence[Mapping[str, Value]] = ({},),
) -> dict[Spill, PlanWarning]:
    """Return a warning for each model that is larger than the GPU's memory under a requested limit.

    An unknown limit gives no warning.
    """
    limits = dict.fromkeys(settings.get("wired_limit_mb") for settings in combinations)
    spills: dict[Spill, PlanWarning] = {}
    for machine in machines:
        for model, known in sizes.items():
            size = _size_on(machine, model, known)
            for setting in limits:
                limit = gpu_bytes_under(machine, setting)
                if limit is not None and size > limit:
                    spills[machine.machine_id, model, setting] = PlanWarning(
                        machine=machine.name,
                        model=model,
                        setting="" if setting is None else f"wired_limit_mb={setting}",
                        what=_too_large(machine, model, size, limit),
                    )
    return spills


def _too_large(machine: Machine, model: str, size: int, limit: int) -> str:
    """Llama-server leaves the rest to the CPU; MLX refuses a model that does not fit whole."""
    over = f"{show_bytes(size - limit)} of {show_bytes(size)}"
    facts = machine.model(model)
    if facts is not None and facts.model_format == MLX_FORMAT:
        return f"{over} do not fit into the GPU's memory: MLX would not load it"
    return f"{over} would spill to the CPU"


def spill_of(machine: Machine, shape: Shape) -> Spill:
    """Return the key of this cell in what `spilling` returns."""
    return machine.machine_id, shape.model, shape.settings.get("wired_limit_mb")


def _size_on(machine: Machine, model: str, elsewhere: int) -> int:
    own = machine.model(model)
    return own.size_bytes if own else elsewhere


def _left_out_by_choice(warning: PlanWarning) -> LeftOut:
    return LeftOut(
        machine=warning.machine, model=warning.model, setting=warning.setting, clause=warning.what
    )
