"""The effects of a trial: everything that it reads from its machine or changes there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from fleet.model.machine import Fingerprint, ModelFacts
from fleet.model.measure import Reading
from fleet.model.trial import Attempt, Trial
from fleet.ports import Clock, Engine, ForgetModel, InForce, Stop

Sampling = Callable[[Trial, int, list[Reading]], AbstractContextManager[None]]
"""Readings of the machine, with offsets from the trial's zero, are added to the list inside."""


def no_sampling(trial: Trial, zero_ns: int, into: list[Reading]) -> AbstractContextManager[None]:
    """Read nothing."""
    return nullcontext()


def _apply_nothing(attempt: Attempt, engine: Engine, stop: Stop) -> AbstractContextManager[InForce]:
    return nullcontext(InForce(engine=engine))


def forget_nothing(model: ModelFacts) -> bool:
    """Leave the page cache as it is: the files are not on this machine, or nobody asks."""
    return False


@dataclass(frozen=True, slots=True)
class TrialPorts:
    """One side for each effect of a trial."""

    engine: Engine
    look: Callable[[], Fingerprint]
    clock: Clock
    stop: Stop
    forget_model: ForgetModel = forget_nothing
    applied: Callable[[Attempt, Engine, Stop], AbstractContextManager[InForce]] = _apply_nothing
    """Settings of the system and of the engine's environment are in force inside."""
    sampling: Sampling = no_sampling
    fingerprint: Fingerprint | None = None
    """The machine at a look right before the trial. None: the trial looks itself."""
