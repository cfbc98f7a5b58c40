"""A trial: one cell measured once on one machine; what is handed to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.identity import content_id
from fleet.model.experiment import CoolDown, Engine, Telemetry
from fleet.model.gates import Gates
from fleet.model.job import Job
from fleet.model.settings import Value

TRIAL_RECIPE = 1
"""1: first recipe (2026-11), the fields of `trial_id` below."""

Role = Literal["measure", "canary", "noise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Everything a machine needs to measure one cell once."""

    trial_id: str
    experiment: str
    machine_id: str
    machine: str
    """The machine's name: a label, never an identity."""
    model: str
    digest: str
    """The model's digest that every machine of the plan agreed on; empty: not known before."""
    job: Job
    engine: Engine
    settings: Mapping[str, Value]
    block: int
    position: int
    """Place in this machine's queue, over all blocks."""
    seed: int
    session: int = 0
    """Counts how often the experiment was asked anew with --again."""
    estimate_s: float
    cut: bool = False
    """The cell is far over its estimate: one request per point instead of the job's number."""
    why: str = ""
    role: Role = "measure"
    """canary: the same small trial again and again, to see whether the machine drifts; its block
    is its place, from 0 before the first block. noise: one side of an A/A run."""
    side: str = ""
    """Of an A/A run: a or b, the same cell measured twice in each block."""
    cool_down: CoolDown | None = None
    restart_engine: bool = False
    gates: Gates = field(default_factory=Gates)
    """What to do where the machine is not ready for it. No part of the question asked."""

    telemetry: Telemetry | None = None
    """How the machine is read meanwhile; None: not at all. No part of the question asked."""

    def cell(self) -> tuple[str, str, str, str]:
        """What stays the same over the blocks: machine, model, job, settings."""
        return self.machine_id, self.model, self.job.name, show_settings(self.settings)


def trial_id(
    *,
    experiment: str,
    machine_id: str,
    model: str,
    job: Job,
    engine_kind: str,
    settings: Mapping[str, Value],
    block: int,
    session: int = 0,
    role: Role = "measure",
    side: str = "",
) -> str:
    """Same question, same id: file paths, comments, repeats and `why` do not enter."""
    content: dict[str, object] = {
        "recipe": TRIAL_RECIPE,
        "experiment": experiment,
        "machine": machine_id,
        "model": model,
        "job": job.content(),
        "engine": engine_kind,
        "settings": dict(settings),
        "block": block,
    }
    if session:
        content["session"] = session
    if role != "measure":
        content["role"] = role
    if side:
        content["side"] = side
    return content_id("trial", content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a trial; the fence counts the tries, from 0."""

    trial: Trial
    fence: int
    submission_id: str | None = None
    """Random, one for each submit; None: not known."""

    @property
    def attempt_id(self) -> str:
        return attempt_id(self.trial.trial_id, self.fence)


def attempt_id(trial: str, fence: int) -> str:
    return f"{trial}-{fence}"


def show_settings(settings: Mapping[str, Value]) -> str:
    return " ".join(f"{name}={value}" for name, value in settings.items())
