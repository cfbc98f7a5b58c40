"""What of an experiment cannot run as asked, and the clause that forbids it; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.errors import FleetError, FleetUnreachable, UserError
from fleet.model.job import CONTEXT_STEP, Job, Point
from fleet.model.machine import Machine
from fleet.model.runners import MLX_FORMAT
from fleet.model.settings import Value
from fleet.plan.refusals.limits import limit_asked_bytes
from fleet.plan.selection import Asked
from fleet.units import show_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was asked and will not run, with the clause that forbids it; empty: all of them."""

    clause: str
    machine: str = ""
    model: str = ""
    setting: str = ""
    """`wired_limit_mb=65536` where only that combination is meant; empty: all of them."""
    job: str = ""
    point: str = ""
    unmeasurable: bool = False
    """No machine, setting or job would help: that model cannot be measured there."""

    @property
    def cell(self) -> str:
        return _cell(self.model, self.setting)

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.machine, self.cell, self.job)))
        return f"{where}: {self.clause}" if where else self.clause


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """Runs, but not as one may think; `model` empty: all that the machine does."""

    machine: str
    model: str
    what: str
    setting: str = ""

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.machine, _cell(self.model, self.setting))))
        return f"{where}: {self.what}"


def _cell(model: str, setting: str) -> str:
    return f"{model} with {setting}" if model and setting else model or setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A cell before it is on a machine; the job holds only the points that fit."""

    model: str
    job: Job
    settings: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """Every model, job and combination that fits its own context, and what does not."""

    shapes: tuple[Shape, ...]
    left_out: tuple[LeftOut, ...]
    """Points, each named once; the cells that lose all their points are in `dropped` too."""
    dropped: Mapping[LeftOut, int]
    """Cells of each machine that lose all their points, by the clause of the first of them."""


def fitting_shapes(wanted: Asked) -> Fitting:
    left_out: dict[LeftOut, None] = {}
    dropped: Counter[LeftOut] = Counter()
    fitted: list[tuple[Job, Mapping[str, Value]]] = []
    for job in wanted.jobs:
        for settings in wanted.combinations:
            context = int(settings["num_ctx"])
            clauses = {
                point: _too_long(job, point, context) or _one_at_a_time(wanted, job, point)
                for point in job.points
            }
            left_out |= {clause: None for clause in clauses.values() if clause}
            kept = tuple(point for point, clause in clauses.items() if clause is None)
            if kept:
                fitted.append((job.model_copy(update={"points": kept}), settings))
            else:
                first = next(clause for clause in clauses.values() if clause)
                dropped[first] += len(wanted.models)
    shapes = tuple(
        Shape(model=model, job=job, settings=settings)
        for model in wanted.models
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


def _one_at_a_time(wanted: Asked, job: Job, point: Point) -> LeftOut | None:
    """All machines of an experiment have the same kind of engine."""
    engines = [machine.engine for machine in wanted.machines if machine.engine is not None]
    if point.concurrency == 1 or not engines or any(engine.concurrent for engine in engines):
        return None
    clause = f"{engines[0].kind} answers one request at a time, not {point.concurrency} streams"
    return LeftOut(job=job.name, point=point.name(job.name), clause=clause)


def silent_machine(machine: Machine) -> LeftOut:
    why = "; ".join(line.strip() for line in machine.engine_error.splitlines())
    return LeftOut(machine=machine.name, clause=why or "no engine answers there")


def no_engine(machines: Sequence[Machine]) -> FleetError:
    """The error where none of the machines has an engine that answers.

    It is a UserError where every one of them was told to ask an engine elsewhere.
    """
    errors = "\n".join(f"{machine.name}: {machine.engine_error}" for machine in machines)
    if all(machine.wrong_address for machine in machines):
        return UserError(errors)
    return FleetUnreachable(f"no engine answers: {errors}")


def unmeasurable_models(
    machines: Sequence[Machine], models: Sequence[str]
) -> dict[tuple[str, str], LeftOut]:
    """By machine id and model, the models that no engine of the machine can be measured with."""
    pairs = ((machine, model, machine.model(model)) for machine in machines for model in models)
    return {
        (machine.machine_id, model): LeftOut(
            machine=machine.name, model=model, clause=facts.unmeasurable, unmeasurable=True
        )
        for machine, model, facts in pairs
        if facts is not None and facts.unmeasurable
    }


def known_sizes(models: Sequence[str], machines: Sequence[Machine]) -> dict[str, int]:
    """By model: as any machine has it."""
    found = ((model, machine.model(model)) for model in models for machine in machines)
    return {model: facts.size_bytes for model, facts in found if facts is not None}


Spill = tuple[str, str, Value | None]
"""Machine id, model, the wired limit asked for; None: the limit as it is."""


def spilling(
    machines: Sequence[Machine],
    sizes: Mapping[str, int],
    combinations: Sequence[Mapping[str, Value]] = ({},),
) -> dict[Spill, PlanWarning]:
    """File size against GPU memory under each limit asked for; of an unknown limit nothing."""
    asked = dict.fromkeys(settings.get("wired_limit_mb") for settings in combinations)
    spills: dict[Spill, PlanWarning] = {}
    for machine in machines:
        for model, known in sizes.items():
            size = _size_on(machine, model, known)
            for setting in asked:
                limit = limit_asked_bytes(machine, setting)
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
    """The key under which `spilling` tells of this cell."""
    return machine.machine_id, shape.model, shape.settings.get("wired_limit_mb")


def _size_on(machine: Machine, model: str, elsewhere: int) -> int:
    own = machine.model(model)
    return own.size_bytes if own else elsewhere


def skipped_for(warning: PlanWarning) -> LeftOut:
    """What a warning becomes where the user would rather leave it out."""
    return LeftOut(
        machine=warning.machine, model=warning.model, setting=warning.setting, clause=warning.what
    )
