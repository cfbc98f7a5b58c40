"""The noise floor: an A/A run of one cell on each machine, and what it says of them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.app.named_experiments import refuse_experiment
from fleet.app.one_cell import CellRequest, cell_request
from fleet.compare.noise import noise_runs
from fleet.compare.noise_report import NoiseReport, noise_report
from fleet.errors import UserError
from fleet.folders import results_folder
from fleet.model.experiment import Repeats, Request
from fleet.plan.expand import Plan
from fleet.query.open_store import open_store
from fleet.stats.noise_floor import LEAST_BLOCKS

JOB = "noise"


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
    request = cell_request(base, model, cell, "a noise run")
    experiment = request.experiment
    changes = {
        "name": f"noise-{experiment.name.removesuffix(f'-{JOB}')}",
        "repeats": Repeats(least=cell.repeats, most=cell.repeats),
        "canary": "off",
    }
    return Request(
        experiment=experiment.model_copy(update=changes), jobs=request.jobs, role="noise"
    )


@interruptible()
def read_report(home: Path, plan: Plan) -> NoiseReport:
    """Judge each machine by the stored trials of this run."""
    experiment = plan.request.experiment
    with closing(open_store([results_folder(home)], views=("noise_trials",))) as con:
        runs = noise_runs(con, experiment.name, plan.session)
    machines = {each.machine.machine_id: each.machine.name for each in plan.machines}
    return noise_report(experiment.name, experiment.models[0], experiment.jobs[0], machines, runs)
