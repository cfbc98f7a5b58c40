"""What a search for a step found, and what it was about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.model.machine import EngineProgram
from fleet.stats.bisection import Bisection


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchReport:
    """One search, up to the step that was measured last."""

    bisection: Bisection
    metric: str
    model: str
    machine: str = ""
    points: tuple[str, ...] = ()
    """The points of the job that the metric was read at."""
    programs: Mapping[str, EngineProgram] = field(default_factory=dict)
    """By label, as they were on the machine at the last step."""
    flags: tuple[str, ...] = ()
    """What qualifies some of the trials."""
    experiments: tuple[str, ...] = ()
    """The experiments of the steps, in their order."""
