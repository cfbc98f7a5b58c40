"""Find the version of Ollama from which on a machine is faster or slower, by halving a list."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.app.named_experiments import refuse_experiment
from fleet.app.one_cell import CellRequest, cell_request
from fleet.app.options import Options
from fleet.app.progress import Talk
from fleet.app.submit import SubmissionResult, close, measure
from fleet.compare.search_report import SearchReport
from fleet.errors import FleetError, UserError
from fleet.folders import results_folder, with_home
from fleet.identity import content_id
from fleet.metrics.compared import check_metric, is_energy
from fleet.model.experiment import Repeats, Request, SimulatedEngine
from fleet.model.noun import LONGEST_NAME
from fleet.query.blocks_by_program import BlockValue, blocks_by_program
from fleet.query.open_store import open_store
from fleet.stats.bisection import Bisection, Step, Values

JOB = "quickstart"
LEAST_BLOCKS = 3
USAGE = "fleet bisect v0.30 v0.31 v0.32 --model gpt-oss:20b"


def bisect_request(
    base: Request | None, labels: Sequence[str], cell: CellRequest, home: Path
) -> Request:
    """Return the experiment of one machine whose programs are to be searched; raise UserError."""
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice or len(labels) < 2:
        what = f"{twice} is named twice" if twice else "a search needs two versions or more"
        raise UserError(
            f"fleet bisect: {what}", f"name them from the oldest to the newest: {USAGE}"
        )
    if cell.repeats < LEAST_BLOCKS:
        raise UserError(
            f"--repeats {cell.repeats}: a step needs {LEAST_BLOCKS} blocks or more", "better 5"
        )
    if cell.model is not None:
        refuse_experiment(cell.model, home)
    model = cell.model or (base.experiment.models[0] if base else None)
    if model is None:
        raise UserError("no model is named", f"{USAGE}, or --config FILE")
    request = cell_request(base, model, cell, "a search")
    _require_one_machine(request)
    return request


def _require_one_machine(request: Request) -> None:
    named, engine = request.experiment.machines, request.experiment.engine
    names = named if isinstance(named, tuple) else ()
    if isinstance(engine, SimulatedEngine) and not names:
        names = tuple(engine.machines)
    if len(names) > 1:
        raise UserError(
            f"a search measures one machine, not {', '.join(names)}", f"--machines {names[0]}"
        )


def search(
    request: Request, bisection: Bisection, metric: str, options: Options, talk: Talk
) -> SearchReport:
    """Measure step after step until the search ends; what is stored is not measured again.

    Raises FleetError where a step lacks the trials that it needs, and UserError for a metric that
    is none or that the trials alone do not hold.
    """
    check_metric(metric)
    if is_energy(metric):
        raise UserError(f"fleet bisect: {metric} is not searched by", "--metric decode")
    model = request.experiment.models[0]
    so_far = SearchReport(bisection=bisection, metric=metric, model=model)
    while (step := bisection.step) is not None:
        talk.say(f"step {len(bisection.judgements) + 1}: {_in_words(step)}")
        measured = measure(step_request(request, step), options, talk)
        values, so_far = _read(measured, step, so_far, options.home)
        if min(map(len, values.values()), default=0) < LEAST_BLOCKS:
            close(measured.account, measured.plan.request, options, talk)
            name = measured.plan.request.experiment.name
            raise FleetError(
                f"{_in_words(step)}: fewer than {LEAST_BLOCKS} blocks have a value of {metric}",
                with_home(f"fleet results {name} --flagged", options.home),
            )
        bisection.take(values)
    return so_far


def step_request(request: Request, step: Step) -> Request:
    """Return the experiment of one step; its name says which versions stand against each other."""
    own = request.experiment
    settings = own.settings.model_copy(update={"engine_binary": list(step.versions)})
    name = "-".join(("bisect", own.name.removesuffix(f"-{JOB}"), *step.versions))
    if len(name) > LONGEST_NAME:
        name = f"bisect-{content_id('name', name)}"
    changes = {
        "name": name,
        "why": f"from which of them on is {own.models[0]} faster or slower?",
        "settings": settings,
        "repeats": Repeats(least=step.blocks, most=step.blocks),
        "compare_by": "engine_binary",
        "baseline": step.versions[0],
        "canary": "off",
    }
    return Request(experiment=own.model_copy(update=changes), jobs=request.jobs)


@interruptible()
def _read(
    measured: SubmissionResult, step: Step, so_far: SearchReport, home: Path
) -> tuple[Values, SearchReport]:
    """Read what the step measured on the programs as they are now."""
    (machine,) = (each.machine for each in measured.plan.machines)
    name = measured.plan.request.experiment.name
    with closing(open_store([results_folder(home)], views=("speeds",))) as con:
        stored = blocks_by_program(con, name, measured.plan.session, so_far.metric)
    rows = [
        row
        for row in stored
        if row.label in step.versions and row.sha256 == machine.programs[row.label].sha256
    ]
    values, points = _by_block(rows, step)
    return values, replace(
        so_far,
        machine=machine.name,
        points=points,
        programs=machine.programs,
        flags=tuple(sorted({*so_far.flags, *(flag for row in rows for flag in row.flags.split())})),
        experiments=tuple(dict.fromkeys((*so_far.experiments, name))),
    )


def _by_block(rows: Iterable[BlockValue], step: Step) -> tuple[Values, tuple[str, ...]]:
    """Return one number per version and block, of the blocks and points that all versions have.

    Of several points that is their geometric mean.
    """
    found: dict[tuple[str, int, str], float] = {}
    for row in rows:
        found[row.label, row.block, row.point] = row.value
    of_label: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for label, block, point in found:
        of_label[label].add((block, point))
    common = set.intersection(*(of_label[version] for version in step.versions))
    points = {point for _, point in common}
    blocks = sorted({block for block, _ in common})
    whole = [block for block in blocks if all((block, point) in common for point in points)]
    values = {
        version: [_mean([found[version, block, point] for point in points]) for block in whole]
        for version in step.versions
    }
    return values, tuple(sorted(points))


def _mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _in_words(step: Step) -> str:
    return f"{', '.join(step.versions)} in {step.blocks} blocks"
