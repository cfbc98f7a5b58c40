"""Parts of the shipped files that other commands use: prompts by job, machines for practice."""

from __future__ import annotations

from fleet.config.reading import load_request, read_job
from fleet.config.shipped import names_in, shipped_folder
from fleet.errors import UserError
from fleet.model.experiment import Request, SimulatedEngine


def shipped_prompts() -> dict[str, str]:
    """Return the job name by prompt, for the shipped jobs with a text of their own."""
    folder = shipped_folder("jobs")
    # of jobs with the same prompt, the first by name wins
    jobs = (read_job(folder / f"{name}.yaml").noun for name in reversed(names_in(folder)))
    return {job.prompt: job.name for job in jobs if job is not None and job.prompt is not None}


def on_practice_machines(request: Request) -> Request:
    """Return the same experiment on the machines of the shipped practice experiment."""
    experiment = request.experiment
    engine = load_request(shipped_folder("configs") / "practice.yaml").experiment.engine
    changes = {"engine": engine, "name": f"{experiment.name}-practice"}
    return request.model_copy(update={"experiment": experiment.model_copy(update=changes)})


def practice_machines(count: int) -> list[str]:
    """Return the names of the first scripted practice machines; raises UserError for too many."""
    engine = load_request(shipped_folder("configs") / "practice.yaml").experiment.engine
    names = list(engine.machines) if isinstance(engine, SimulatedEngine) else []
    if count > len(names):
        raise UserError(
            f"{count} practice machines: only {len(names)} are scripted ({', '.join(names)})",
            f"fleet practice --machines {len(names)}",
        )
    return names[:count]
