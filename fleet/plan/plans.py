"""The plan: every trial of every machine, what is compared, and what will not run; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from fleet.model.experiment import Repeats, Request
from fleet.model.machine import Machine
from fleet.model.trial import Trial
from fleet.plan.absent import AbsentMachine
from fleet.plan.refusals.limits import LimitChange
from fleet.plan.refusals.unfit import LeftOut, PlanWarning

Cell = tuple[str, str, str, str]
"""`Trial.cell()`: machine id, model, job, settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What narrows a plan beside its experiment, and what is known from earlier runs."""

    session: int = 0
    """How often the experiment was measured anew with --again."""
    only: Mapping[str, str] = field(default_factory=dict)
    """By axis, the one value of it that is kept (--only)."""
    repeats: int | None = None
    """Blocks, where they are not those of the experiment."""
    skip_unfit: bool = False
    """Leave out the cells whose model does not fit the GPU's memory (--skip-unfit)."""
    past_seconds: Mapping[Cell, float] = field(default_factory=dict)
    """How long a trial of a cell took before."""


NO_OPTIONS = PlanOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedContrast:
    """Cells that are equal in all but the axis, by the value they have on it."""

    axis: str
    sides: tuple[tuple[str, frozenset[Cell]], ...]
    """The value on the axis and its cells, at least two, in the order of the experiment."""

    @property
    def cells(self) -> frozenset[Cell]:
        """All cells of all sides."""
        return frozenset().union(*(cells for _, cells in self.sides))

    def within(self, kept: Collection[Cell]) -> PlannedContrast:
        """Return the contrast of those cells that are kept, without sides that lose all theirs."""
        sides = ((name, cells & frozenset(kept)) for name, cells in self.sides)
        return PlannedContrast(axis=self.axis, sides=tuple(side for side in sides if side[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A model to fetch first."""

    model: str
    size_bytes: int | None
    """None: no machine there has the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePlan:
    """The trials of one machine, in the order in which it measures them."""

    machine: Machine
    trials: tuple[Trial, ...]
    pulls: tuple[Pull, ...] = ()

    @property
    def estimate_s(self) -> float:
        """Seconds that all its trials take."""
        return sum(trial.estimate_s for trial in self.trials)

    @property
    def disk_bytes(self) -> int:
        """Bytes of the pulls whose size is known."""
        return sum(pull.size_bytes or 0 for pull in self.pulls)

    @property
    def fits_disk(self) -> bool | None:
        """Whether the disk holds the pulls; None: its free space or a size is unknown."""
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
    """Trials that the experiment requests and no plan holds: whole cells are left out."""

    machine: str
    reason: str
    trials: int
    by_choice: bool = False
    """The user's own words leave them out (--skip-unfit)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentPlan:
    """The trials of a machine that is not there; none where nobody knows its id."""

    machine: AbsentMachine
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every trial up to the cap of repeats, what is compared, and what will not run."""

    request: Request
    repeats: Repeats
    """The experiment's, or as given on the command line."""
    session: int
    machines: tuple[MachinePlan, ...]
    axis: str = ""
    """What is compared; empty: nothing varies."""
    contrasts: tuple[PlannedContrast, ...] = ()
    """The groups of cells that are compared with one another along the axis."""
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[PlanWarning, ...] = ()
    refusals: tuple[str, ...] = ()
    """Why this can be planned, but not submitted."""
    limits: tuple[LimitChange, ...] = ()
    """What each requested wired limit means on each machine."""
    restarts: tuple[str, ...] = ()
    """The command that restarts the owner's Ollama before each trial, for each machine."""
    absent: tuple[AbsentPlan, ...] = ()
    left_trials: tuple[LeftTrials, ...] = ()
    trials_asked: int = 0
    """Trials that the experiment requests, those of absent machines too, without canaries."""

    @property
    def baseline(self) -> str | None:
        """The side that others are compared with: as the experiment names it, else the first."""
        first = self.contrasts[0].sides[0][0] if self.contrasts else None
        return self.request.experiment.baseline or first

    @property
    def estimate_s(self) -> float:
        """Seconds of the longest machine, up to the cap of repeats, without pulls."""
        return max((machine.estimate_s for machine in self.machines), default=0.0)

    @property
    def estimate_least_s(self) -> float:
        """The same seconds, if the stop rule ends every cell as early as it may."""
        return self.estimate_s * self.repeats.least / self.repeats.most

    def trials(self) -> Iterator[Trial]:
        """Yield every trial of the machines that are there."""
        for machine in self.machines:
            yield from machine.trials

    @property
    def refused(self) -> dict[str, str]:
        """By machine, why one that is there has nothing to measure."""
        planned = {each.machine.name for each in self.machines}
        away = {each.machine.name for each in self.absent}
        reasons = {left.machine: left.reason for left in reversed(self.left_trials)}
        return {name: why for name, why in reasons.items() if name not in planned | away}

    def work(self) -> Iterator[Trial]:
        """Yield every requested trial, those of absent machines too; canaries are no work."""
        for trials in (self.trials(), *(absent.trials for absent in self.absent)):
            yield from (trial for trial in trials if trial.role != "canary")

    def controls(self) -> list[Trial]:
        """Return the A/A pairs beside what is measured; a noise run has none."""
        measured = self.request.role == "measure"
        return [trial for trial in self.trials() if measured and trial.role == "noise"]

    def canaries(self) -> list[Trial]:
        """Return the canaries of the machines that are there."""
        return [trial for trial in self.trials() if trial.role == "canary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """A trial that was measured well before its machine, engine or model changed."""

    trial: Trial
    words: str
    """What changed: `Ollama 0.32.14 -> 0.32.15`."""
