"""Gates: what must be so on a machine before, during and after a trial that is to count as plain.

Judged from the facts of one look at the machine. A fact that nobody can tell here leaves its gate
unverified, which is neither open nor closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from fleet.model.machine import Fact, FactValue, Fingerprint
from fleet.model.noun import Noun, Span
from fleet.units import NS_PER_S, show_ns, span_s

Policy = Literal["wait", "strict", "record"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

BUSY_PERCENT = 20.0
"""Others may keep so much of all cores, or of the GPU, busy; `views.sql` has the same bound."""
MOST_STEP_NS = NS_PER_S
"""The wall clock may move against the steady ones so far in a trial; a step moves it further."""
LEAST_SLEEP_NS = NS_PER_S // 10
"""The two clocks a sleep is read from are read one after the other: less is noise."""
UNUSED_S = 600.0
"""A model that nobody used for so long may be taken out of memory."""


class Gates(Noun):
    """What to do with a machine that is not in a state to be measured."""

    policy: Policy = "wait"
    """wait: hold each trial until the machine is ready, then measure all the same, under a label.
    strict: hold as well, then fail. record: hold nothing, label only."""
    at_most: Span = "10m"
    """How long a trial is held."""
    mine: bool = False
    """Models in the engine's memory are the user's own: fleet unloads them and measures."""

    @property
    def at_most_s(self) -> float:
        return span_s(self.at_most)

    def __str__(self) -> str:
        held = "" if self.policy == "record" else f", at most {self.at_most}"
        return f"{self.policy}{held}" + (", models in memory are taken out" if self.mine else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model in an engine's memory, whoever loaded it."""

    name: str
    expires_unix_ns: int | None = None
    """When it goes by itself, counted from its last use; None: the engine does not tell."""


POWER, LOW_POWER, HEAT = "power source", "low-power mode", "thermal level"
PRESSURE, CPU, GPU = "memory pressure", "load of others", "GPU load of others"
OTHER_MODELS = "other models in memory"


def closed(found: Fingerprint, but: Collection[str] = ()) -> dict[str, str]:
    """The closed gates and why; those in `but` are not asked."""
    return {name: why for name, judge in GATES.items() if name not in but and (why := judge(found))}


def unverified(found: Fingerprint, but: Collection[str] = ()) -> tuple[str, ...]:
    """The gates of which this machine says nothing."""
    return tuple(name for name, judge in GATES.items() if name not in but and judge(found) is None)


def with_resident(
    found: Fingerprint, resident: Sequence[Resident] | None, source: str
) -> Fingerprint:
    """The same look with `resident_models`, a fact outside the hashes; None: not to be had."""
    names = None if resident is None else ", ".join(sorted(model.name for model in resident))
    fact = Fact(name="resident_models", value=names, source=source)
    return replace(found, facts=(*found.facts, fact))


def clocks_moved(step_ns: int, slept_ns: int) -> dict[str, str]:
    """Of a whole trial: its wall clock stepped, or the machine slept."""
    told = {}
    if abs(step_ns) > MOST_STEP_NS:
        direction = "forward" if step_ns > 0 else "back"
        told["clock"] = f"the clock stepped {direction} by {show_ns(abs(step_ns))}"
    if slept_ns > LEAST_SLEEP_NS:
        told["sleep"] = f"the machine slept for {show_ns(slept_ns)}"
    return told


Judge = Callable[[Fingerprint], str | None]
"""Why the gate is closed; empty: it is open; None: the machine does not tell."""


def _power(found: Fingerprint) -> str | None:
    source = found.get("power_source")
    if isinstance(source, str):
        return "on battery" if source == "battery" else ""
    without_battery = found.get("battery_present") is False and found.get("virtual") is not True
    return "" if without_battery else None


def _low_power(found: Fingerprint) -> str | None:
    low = found.get("low_power_mode")
    if isinstance(low, bool):
        return "low-power mode" if low else ""
    return "" if found.get("power_modes_present") is False else None


def _heat(found: Fingerprint) -> str | None:
    level, slowed = found.get("thermal_class"), found.get("gpu_slowed")
    if slowed is True:
        return "the GPU is slowed down by heat or power"
    if isinstance(level, str) and level:
        return "" if level == "nominal" else f"thermal pressure {level}"
    return "" if slowed is False else None


def _pressure(found: Fingerprint) -> str | None:
    level = found.get("memory_pressure")
    if isinstance(level, str) and level:
        return "" if level == "normal" else f"memory pressure {level}"
    return None


def _cpu(found: Fingerprint) -> str | None:
    return _busy(found.get("foreign_cpu_percent"), "CPU")


def _gpu(found: Fingerprint) -> str:
    """A machine without a GPU, or with one that nobody can look into, lacks nothing."""
    return _busy(found.get("foreign_gpu_percent"), "GPU") or ""


def _busy(percent: FactValue, what: str) -> str | None:
    if not isinstance(percent, (int, float)) or percent != percent:
        return None
    if percent <= BUSY_PERCENT:
        return ""
    return f"{percent:.0f} % of the {what} is busy with other programs"


def _other_models(found: Fingerprint) -> str | None:
    names = found.get("resident_models")
    if not isinstance(names, str):
        return None
    return f"another model is in memory: {names}" if names else ""


GATES: Mapping[str, Judge] = {
    POWER: _power,
    LOW_POWER: _low_power,
    HEAT: _heat,
    PRESSURE: _pressure,
    CPU: _cpu,
    GPU: _gpu,
    OTHER_MODELS: _other_models,
}
