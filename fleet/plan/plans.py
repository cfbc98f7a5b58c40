"""What a plan holds: every trial, every machine, and what will not run; nouns only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.model.experiment import Repeats, Request
from fleet.model.machine import Machine
from fleet.model.trial import Trial
from fleet.plan.absent import AbsentMachine
from fleet.plan.refusals.limits import LimitChange
from fleet.plan.refusals.unfit import LeftOut, PlanWarning

Cell = tuple[str, str, str, str]
"""`Trial.cell()`: machine id, model, job, settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A model to fetch first; size None: no machine there has it."""

    model: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePlan:
    """What one machine will do, in this order."""

    machine: Machine
    trials: tuple[Trial, ...]
    pulls: tuple[Pull, ...] = ()

    @property
    def estimate_s(self) -> float:
        return sum(trial.estimate_s for trial in self.trials)

    @property
    def disk_bytes(self) -> int:
        """Of the pulls whose size is known."""
        return sum(pull.size_bytes or 0 for pull in self.pulls)

    @property
    def fits_disk(self) -> bool | None:
        """None: the machine does not tell its free disk, or a size is unknown."""
        free = self.machine.free_disk_bytes
        if not self.pulls:
            return True
        if free is None:
            return None
        if self.disk_bytes > free:
            return False
        return None if any(pull.size_bytes is None for pull in self.pulls) else True


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftTrials:
    """Trials asked for that the plan does not hold, since their whole cell is left out."""

    machine: str
    reason: str
    trials: int
    by_choice: bool = False
    """The user's own words leave them out (--skip-unfit)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentPlan:
    """What is asked of a machine that is not there; no trials where nobody knows its id."""

    machine: AbsentMachine
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every trial up to the cap of repeats, and what will not run."""

    request: Request
    repeats: Repeats
    """The experiment's, or as given on the command line."""
    session: int
    machines: tuple[MachinePlan, ...]
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    refusals: tuple[str, ...] = ()
    """Why this may be planned, but not submitted."""
    limits: tuple[LimitChange, ...] = ()
    """What each wired limit asked for means on each machine."""
    restarts: tuple[str, ...] = ()
    """What is typed on each machine before each trial, where its own Ollama is started anew."""
    absent: tuple[AbsentPlan, ...] = ()
    left_trials: tuple[LeftTrials, ...] = ()
    trials_asked: int = 0
    """Trials asked for by the words of the experiment, absent machines' too; canaries not."""

    @property
    def estimate_s(self) -> float:
        """Of the longest machine, up to the cap of repeats; pulls are not in it."""
        return max((machine.estimate_s for machine in self.machines), default=0.0)

    @property
    def estimate_least_s(self) -> float:
        """The same, if the stop rule ends everything as early as it may."""
        return self.estimate_s * self.repeats.least / self.repeats.most

    def trials(self) -> Iterator[Trial]:
        for machine in self.machines:
            yield from machine.trials

    @property
    def refused(self) -> dict[str, str]:
        """Machine to reason, of those that are there and have nothing to measure."""
        planned = {each.machine.name for each in self.machines}
        away = {each.machine.name for each in self.absent}
        reasons = {left.machine: left.reason for left in reversed(self.left_trials)}
        return {name: why for name, why in reasons.items() if name not in planned | away}

    def work(self) -> Iterator[Trial]:
        """Every trial asked for, absent machines' too; canaries are no work."""
        for trials in (self.trials(), *(absent.trials for absent in self.absent)):
            yield from (trial for trial in trials if trial.role != "canary")

    def controls(self) -> list[Trial]:
        """Of the A/A pairs beside what is measured; a run that is all A/A has none."""
        measured = self.request.role == "measure"
        return [trial for trial in self.trials() if measured and trial.role == "noise"]

    def canaries(self) -> list[Trial]:
        return [trial for trial in self.trials() if trial.role == "canary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """A trial measured well before something under it changed."""

    trial: Trial
    words: str
    """`Ollama 0.32.14 -> 0.32.15`"""
