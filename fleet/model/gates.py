"""Gates: what must be so on a machine before, during and after a trial that is to count as plain.

Judged from the facts of one look at the machine. A fact that nobody can tell here leaves its gate
unverified, which is neither open nor closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from fleet.model.machine import GPU_SIZES, Fact, FactValue, Fingerprint
from fleet.model.noun import Noun, Span
from fleet.model.quantities import fact_problem
from fleet.units import GIB, MIB, NS_PER_S, show_ns, span_s

Policy = Literal["wait", "strict", "record"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

BUSY_PERCENT = 20.0
"""Others may keep so much of all cores, or of the GPU, busy; `views.sql` has the same bound."""
MOST_OTHERS_MB = 1024
"""Others may hold so many MiB of the GPU's memory; `views.sql` has the same bound."""
MOST_UNLISTED_MB = 4096
"""Windows and browsers of a desktop hold up to so many MiB. Where only the sum over all programs is
known, an amount between `MOST_OTHERS_MB` and this one leaves the gate unverified."""
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
    residents_are_mine: bool = False
    """Models in the engine's memory are the user's own: fleet unloads them and measures."""

    @property
    def at_most_s(self) -> float:
        return span_s(self.at_most)

    def __str__(self) -> str:
        held = "" if self.policy == "record" else f", at most {self.at_most}"
        return f"{self.policy}{held}" + (
            ", models in memory are taken out" if self.residents_are_mine else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model in an engine's memory, whoever loaded it."""

    name: str
    expires_unix_ns: int | None = None
    """When it goes by itself, counted from its last use; None: the engine does not tell."""


POWER, LOW_POWER, HEAT = "power source", "low-power mode", "thermal level"
PRESSURE, CPU, GPU = "memory pressure", "load of others", "GPU load of others"
OTHER_MODELS = "other models in memory"
GPU_USERS = "GPU memory of others"
FOREIGN_MEMORY, MEMORY_IN_USE = "foreign_gpu_memory_mb", "gpu_memory_in_use_mb"
WANTED_MODEL = "wanted_model_mb"


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
    others = (each for each in found.facts if each.name != fact.name)
    return replace(found, facts=(*others, fact))


def with_wanted(look: Fingerprint, size_bytes: int | None) -> Fingerprint:
    """The same look with `wanted_model_mb`, the model that is to be measured; None: not known."""
    size_mb = None if size_bytes is None else size_bytes // MIB
    fact = Fact(name=WANTED_MODEL, value=size_mb, source="engine")
    return replace(look, facts=(*look.facts, fact))


def others_gpu_mb(look: Fingerprint) -> int | None:
    """MiB of the GPU's memory that others hold; None where this look does not tell.

    By the list of programs; else by the sum over all programs, where it is small, or where it is
    large while the engine holds no model.
    """
    listed, in_use = _size_mb(look, FOREIGN_MEMORY), _size_mb(look, MEMORY_IN_USE)
    if listed is not None or in_use is None or in_use <= MOST_OTHERS_MB:
        return in_use if listed is None else listed
    resting = _in_use_at_rest_mb(look) or 0
    return resting if resting > MOST_UNLISTED_MB else None


def _in_use_at_rest_mb(look: Fingerprint) -> int | None:
    """What all programs hold while the engine holds no model: nothing of it is the engine's."""
    return _size_mb(look, MEMORY_IN_USE) if look.get("resident_models") == "" else None


def model_size_matters(look: Fingerprint) -> bool:
    """Whether the gate of the GPU's memory goes by what room others leave."""
    others_mb = others_gpu_mb(look) or 0
    return 0 < others_mb <= MOST_OTHERS_MB and _gpu_may_use_mb(look) is not None


def _size_mb(look: Fingerprint, name: str) -> int | None:
    value = look.get(name)
    if not isinstance(value, (int, float)) or fact_problem(name, value):
        return None
    return int(value)


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


def _gpu(look: Fingerprint) -> str | None:
    why = _busy(look.get("foreign_gpu_percent"), "GPU")
    return _unless_nothing_to_tell(look, "foreign_gpu_percent") if why is None else why


def _unless_nothing_to_tell(look: Fingerprint, name: str) -> str | None:
    """Open on a machine without a GPU, which has no such fact; unverified where it was looked for
    on a machine that has one, or may have."""
    fact = look.fact(name)
    return "" if fact is None or fact.absent or look.fact("gpu") is None else None


def _gpu_users(look: Fingerprint) -> str | None:
    others_mb = others_gpu_mb(look)
    held_mb = _in_use_at_rest_mb(look) if others_mb is None else others_mb
    if held_mb is None:
        return _unless_nothing_to_tell(look, FOREIGN_MEMORY)
    programs = look.get("foreign_gpu_programs")
    names = f": {programs}" if isinstance(programs, str) else ""
    held = f"others hold {held_mb * MIB / GIB:.1f} GiB of the GPU's memory{names}"
    if others_mb is not None and others_mb > MOST_OTHERS_MB:
        return held
    if _leaves_no_room(look, held_mb):
        return f"{held}; the model does not fit beside them"
    return None if others_mb is None else ""


def _leaves_no_room(look: Fingerprint, held_mb: int) -> bool:
    """The wanted model fits into the GPU's memory, but not beside what others hold."""
    wanted_mb, whole_mb = _size_mb(look, WANTED_MODEL), _gpu_may_use_mb(look)
    if wanted_mb is None or whole_mb is None:
        return False
    return wanted_mb <= whole_mb < wanted_mb + held_mb


def _gpu_may_use_mb(look: Fingerprint) -> int | None:
    """What is usual on such machines is too little to close a gate by."""
    sizes = (_size_mb(look, name) for name in GPU_SIZES if name != "gpu_limit_expected_mb")
    return next((size for size in sizes if size is not None), None)


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
    GPU_USERS: _gpu_users,
}
