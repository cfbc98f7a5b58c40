"""What other commands take from the shipped files: prompts by job, machines to practise on."""

from __future__ import annotations

from fleet.config.reading import load_request, read_job
from fleet.config.shipped import names_in, shipped_folder
from fleet.errors import UserError
from fleet.model.experiment import SimulatedEngine


def shipped_prompts() -> dict[str, str]:
    folder = shipped_folder("jobs")
    # of jobs that ask the same, the first by name
    jobs = (read_job(folder / f"{name}.yaml").noun for name in reversed(names_in(folder)))
    return {job.prompt: job.name for job in jobs if job is not None and job.prompt is not None}


def practice_machines(count: int) -> list[str]:
    engine = load_request(shipped_folder("configs") / "practice.yaml").experiment.engine
    names = list(engine.machines) if isinstance(engine, SimulatedEngine) else []
    if count > len(names):
        raise UserError(
            f"{count} practice machines: only {len(names)} are scripted ({', '.join(names)})",
            f"fleet practice --machines {len(names)}",
        )
    return names[:count]
