"""Where a trial runs: its effects, all of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from fleet.model.machine import Fingerprint
from fleet.model.measure import Reading
from fleet.model.trial import Attempt, Trial
from fleet.page_cache import forget_file
from fleet.ports import Clock, Engine, InForce, Stop

Sampling = Callable[[Trial, int, list[Reading]], AbstractContextManager[None]]
"""While it is entered the machine is read; readings, counted from the zero, go into the list."""


def no_sampling(trial: Trial, zero_ns: int, into: list[Reading]) -> AbstractContextManager[None]:
    return nullcontext()


def _as_found(attempt: Attempt, engine: Engine, stop: Stop) -> AbstractContextManager[InForce]:
    return nullcontext(InForce(engine=engine))


@dataclass(frozen=True, slots=True)
class TrialPorts:
    engine: Engine
    look: Callable[[], Fingerprint]
    clock: Clock
    stop: Stop
    forget_file: Callable[[str], bool] = forget_file
    """Takes a file out of the memory of the operating system; whether that was done."""
    applied: Callable[[Attempt, Engine, Stop], AbstractContextManager[InForce]] = _as_found
    """Settings of the system and of the engine's environment: in force inside, put back after."""
    sampling: Sampling = no_sampling
    found: Fingerprint | None = None
    """The machine as it was looked at right before; None: it is looked at."""
