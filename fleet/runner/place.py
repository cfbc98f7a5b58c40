"""Where a trial runs: its effects, all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet.model.machine import Fingerprint
from fleet.ports import Clock, Engine, Stop
from fleet.runner.page_cache import forget_file


@dataclass(frozen=True, slots=True)
class Place:
    engine: Engine
    look: Callable[[], Fingerprint]
    clock: Clock
    stop: Stop
    forget_file: Callable[[str], bool] = forget_file
    """Takes a file out of the memory of the operating system; whether that was done."""
