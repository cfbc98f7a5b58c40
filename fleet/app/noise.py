"""The noise floor: an A/A run of one cell on each machine, and what it says of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from fleet.app.interrupts import interruptible
from fleet.app.named_experiments import refuse_experiment
from fleet.compare.noise import noise_runs
from fleet.compare.noise_report import NoiseReport, noise_report
from fleet.config.from_models import ModelWords, from_models
from fleet.config.overrides import narrowed
from fleet.errors import UserError
from fleet.folders import results_folder
from fleet.model.experiment import Experiment, Repeats, Request
from fleet.model.settings import Settings
from fleet.plan.expand import Plan
from fleet.query.open_store import open_store
from fleet.stats.noise_floor import LEAST_BLOCKS

JOB = "noise"


class CellRequest(NamedTuple):
    """The cell of a noise run, in the words of the command line."""

    model: str | None
    job: str
    machines: Sequence[str]
    engine: str
    repeats: int
    settings: Sequence[str]


def noise_request(base: Request | None, cell: CellRequest, home: Path) -> Request:
    """Return the request by which every machine measures one cell twice in each block.

    `base`: an experiment whose engine, machines and first settings are used. Raises UserError.
    """
    if cell.model is not None:
        refuse_experiment(cell.model, home)
    model = cell.model or (base.experiment.models[0] if base else None)
    if model is None:
        raise UserError("no model is named", "fleet noise gpt-oss:20b, or --config FILE")
    if cell.repeats < LEAST_BLOCKS:
        raise UserError(
            f"--repeats {cell.repeats}: a noise floor needs at least {LEAST_BLOCKS} blocks of two "
            f"trials",
            f"fleet noise {model} --repeats {LEAST_BLOCKS}, better 20",
        )
    request = _from_words(model, cell)
    experiment = request.experiment if base is None else _based_on(base, request, cell)
    changes = {
        "name": f"noise-{experiment.name.removesuffix(f'-{JOB}')}",
        "repeats": Repeats(least=cell.repeats, most=cell.repeats),
        "canary": "off",
    }
    return Request(
        experiment=experiment.model_copy(update=changes), jobs=request.jobs, role="noise"
    )


def _from_words(model: str, cell: CellRequest) -> Request:
    """Return the experiment of this cell; raise UserError if it is more than one cell."""
    words = ModelWords(
        models=[model],
        jobs=(cell.job,),
        machines=cell.machines,
        engine=cell.engine,
        repeats=cell.repeats,
        settings=cell.settings,
    )
    request = from_models(words)
    if axes := request.experiment.settings.axes():
        raise UserError(
            f"a noise run measures one cell, and --set {axes[0]} has several values",
            f"give {axes[0]} one value",
        )
    return request


def _based_on(base: Request, request: Request, cell: CellRequest) -> Experiment:
    """Return the experiment of a file, with the model, job and machines of the command line."""
    own = request.experiment
    return base.experiment.model_copy(
        update={
            "models": own.models,
            "jobs": own.jobs,
            "machines": own.machines if cell.machines else base.experiment.machines,
            "settings": _first_settings(base, cell.settings),
            "compare_by": None,
            "baseline": None,
        }
    )


def _first_settings(base: Request, words: Sequence[str]) -> Settings:
    """Return the first combination of an experiment's settings that has the given values."""
    settings = narrowed(base, words).experiment.settings
    return Settings.model_validate(settings.combinations()[0])


@interruptible()
def read_report(home: Path, plan: Plan) -> NoiseReport:
    """Judge each machine by the stored trials of this run."""
    experiment = plan.request.experiment
    with closing(open_store([results_folder(home)], views=("noise_trials",))) as con:
        runs = noise_runs(con, experiment.name, plan.session)
    machines = {each.machine.machine_id: each.machine.name for each in plan.machines}
    return noise_report(experiment.name, experiment.models[0], experiment.jobs[0], machines, runs)
