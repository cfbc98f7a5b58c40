"""What a real server has no path for: the trial it works for, its heat, what lies on its disk.

The owner of a scripted machine tells it which attempt begins, and carries its state over a restart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from fleet.engines.simulated.machine import ScriptedMachine
from fleet.engines.simulated.question import Refusal


def state_of(machine: ScriptedMachine) -> dict[str, object]:
    now_ns = time.monotonic_ns()
    return {
        "thermal_class": machine.heat.thermal_class(now_ns),
        "heat": machine.heat.state(now_ns),
        "present": machine.present(),
    }


def restore(machine: ScriptedMachine, state: Mapping[str, object]) -> None:
    """Only what is told changes."""
    attempt, present, heat = (state.get(name) for name in ("attempt", "present", "heat"))
    if isinstance(attempt, str):
        machine.begin(attempt)
    if isinstance(present, list):
        for name in present:
            machine.add(str(name))
    if isinstance(heat, dict):
        try:
            machine.heat.restore(heat, time.monotonic_ns())
        except (KeyError, TypeError) as problem:
            raise Refusal(400, f"heat: {problem}") from problem
