"""A trial: one cell measured once on one machine, as a worker receives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.identity import content_id
from fleet.model.experiment import CoolDown, Engine, Telemetry
from fleet.model.gates import Gates
from fleet.model.job import Job
from fleet.model.settings import SETTINGS, Value

TRIAL_RECIPE = 1
"""1: first recipe (2026-11), the fields that `trial_id` names."""

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
    """The digest of the model on which all machines of the plan agreed; empty: not known yet."""
    job: Job
    engine: Engine
    settings: Mapping[str, Value]
    block: int
    position: int
    """Place in this machine's queue, over all blocks."""
    seed: int
    session: int = 0
    """How often the experiment was measured anew with --again."""
    estimate_s: float
    cut: bool = False
    """The cell is far over its estimate: one request per point instead of the job's number."""
    why: str = ""
    role: Role = "measure"
    """canary: the same small trial again and again, to see whether the machine drifts; its block
    is its place, from 0 before the first block. noise: one side of an A/A pair."""
    side: str = ""
    """Of an A/A pair: a or b, the same cell measured twice in each block."""
    cool_down: CoolDown | None = None
    restart_engine: bool = False
    gates: Gates = field(default_factory=Gates)
    """What to do where the machine is not ready for the trial. No part of the id."""
    telemetry: Telemetry | None = None
    """How often the machine is read meanwhile; None: not at all. No part of the id."""

    def cell(self) -> tuple[str, str, str, str]:
        """Return what stays the same over the blocks: machine, model, job, settings."""
        return self.machine_id, self.model, self.job.name, show_settings(self.settings)


def trial_id(trial: Trial) -> str:
    """Return the id of what the trial asks: file paths, comments, repeats and `why` do not enter.

    A setting at its default does not enter either, so that one that a later version adds makes no
    new ids of old trials.
    """
    settings = {n: value for n, value in trial.settings.items() if value != SETTINGS[n].default}
    content: dict[str, object] = {
        "recipe": TRIAL_RECIPE,
        "experiment": trial.experiment,
        "machine": trial.machine_id,
        "model": trial.model,
        "job": trial.job.content(),
        "engine": trial.engine.kind,
        "settings": settings,
        "block": trial.block,
    }
    if trial.session:
        content["session"] = trial.session
    if trial.role != "measure":
        content["role"] = trial.role
    if trial.side:
        content["side"] = trial.side
    return content_id("trial", content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a trial; the fence counts the tries from 0."""

    trial: Trial
    fence: int
    submission_id: str | None = None
    """Random, one for each submit; None: not known."""

    @property
    def attempt_id(self) -> str:
        """The id of the trial with the fence."""
        return attempt_id(self.trial.trial_id, self.fence)


def attempt_id(trial: str, fence: int) -> str:
    """Return the id of one try at the trial of this id."""
    return f"{trial}-{fence}"


def show_settings(settings: Mapping[str, Value]) -> str:
    """Return the text that identifies a combination of settings: `num_ctx=8192 num_batch=512`."""
    return " ".join(f"{name}={value}" for name, value in settings.items())
