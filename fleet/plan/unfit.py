"""What of an experiment cannot run as asked, and the clause that forbids it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.model.job import CONTEXT_STEP, Job, Point
from fleet.model.machine import Machine
from fleet.model.settings import OS_SETTINGS, Value
from fleet.plan.selection import Asked
from fleet.units import show_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was asked and will not run, with the clause that forbids it; empty: all of them."""

    clause: str
    machine: str = ""
    model: str = ""
    job: str = ""
    point: str = ""

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.machine, self.model, self.job)))
        return f"{where}: {self.clause}" if where else self.clause


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """Runs, but not as one may think; `model` empty: all that the machine does."""

    machine: str
    model: str
    what: str

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.machine, self.model)))}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A cell before it is on a machine; the job holds only the points that fit."""

    model: str
    job: Job
    settings: Mapping[str, Value]


def fitting_shapes(wanted: Asked) -> tuple[list[Shape], list[LeftOut]]:
    """Every model, job and combination that fits its own context, and what does not."""
    left_out: dict[LeftOut, None] = {}
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
    shapes = [
        Shape(model=model, job=job, settings=settings)
        for model in wanted.models
        for job, settings in fitted
    ]
    return shapes, list(left_out)


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
    return LeftOut(machine=machine.name, clause=machine.engine_error or "no engine answers there")


def known_sizes(models: Sequence[str], machines: Sequence[Machine]) -> dict[str, int]:
    """By model: as any machine has it."""
    found = ((model, machine.model(model)) for model in models for machine in machines)
    return {model: facts.size_bytes for model, facts in found if facts is not None}


def spilling(
    machines: Sequence[Machine], sizes: Mapping[str, int]
) -> dict[tuple[str, str], PlanWarning]:
    """File size against GPU memory; a machine that tells no limit gets no warning."""
    spills: dict[tuple[str, str], PlanWarning] = {}
    for machine in machines:
        limit = machine.gpu_memory_bytes()
        for model, known in sizes.items():
            size = _size_on(machine, model, known)
            if limit is not None and size > limit:
                words = f"{show_bytes(size - limit)} of {show_bytes(size)} would spill to the CPU"
                spills[machine.machine_id, model] = PlanWarning(
                    machine=machine.name, model=model, what=words
                )
    return spills


def _size_on(machine: Machine, model: str, elsewhere: int) -> int:
    own = machine.model(model)
    return own.size_bytes if own else elsewhere


def skipped_for(warning: PlanWarning) -> LeftOut:
    """What a warning becomes where the user would rather leave it out."""
    return LeftOut(machine=warning.machine, model=warning.model, clause=warning.what)


def refused_os_settings(wanted: Asked) -> Iterator[str]:
    for name in sorted(OS_SETTINGS):
        if any(settings.get(name, "default") != "default" for settings in wanted.combinations):
            yield (
                f"settings.{name}: OS settings cannot be set by this version; "
                "remove it, or keep one value `default`"
            )
