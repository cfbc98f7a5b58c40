"""Gates: conditions that a machine must meet before, during and after a trial without a flag.

The facts of one look at the machine decide. A gate whose fact is unknown is unverified, which is
neither open nor closed.
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
"""Other programs may use this share of all cores, or of the GPU; `views.sql` has the same bound."""
MOST_OTHERS_MB = 1024
"""Other programs may hold so many MiB of the GPU's memory; `views.sql` has the same bound."""
MOST_UNLISTED_MB = 4096
"""Windows and browsers of a desktop hold up to so many MiB. If only the sum over all programs is
known, an amount between `MOST_OTHERS_MB` and this one leaves the gate unverified."""
MOST_STEP_NS = NS_PER_S
"""The wall clock may move so far against the steady clocks in a trial; a step moves it further."""
LEAST_SLEEP_NS = NS_PER_S // 10
"""A shorter sleep is noise, since the two clocks that show it are read one after the other."""
UNUSED_S = 600.0
"""A model that nobody used for so long may be unloaded."""


class Gates(Noun):
    """What to do with a machine that is not in a state to be measured."""

    policy: Policy = "wait"
    """wait: hold each trial until the machine is ready; after at_most measure it with a flag.
    strict: hold it as well; after at_most fail. record: do not hold it, only set flags."""
    at_most: Span = "10m"
    """The longest time that a trial is held."""
    residents_are_mine: bool = False
    """Models in the engine's memory are the user's own: fleet unloads them and measures."""

    @property
    def at_most_s(self) -> float:
        """Seconds of `at_most`."""
        return span_s(self.at_most)

    def __str__(self) -> str:
        held = "" if self.policy == "record" else f", at most {self.at_most}"
        return f"{self.policy}{held}" + (
            ", models in memory are taken out" if self.residents_are_mine else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A model in the memory of an engine, whoever loaded it."""

    name: str
    expires_unix_ns: int | None = None
    """When the engine unloads it by itself; None: not known."""


POWER, LOW_POWER, HEAT = "power source", "low-power mode", "thermal level"
PRESSURE, CPU, GPU = "memory pressure", "load of others", "GPU load of others"
OTHER_MODELS = "other models in memory"
GPU_USERS = "GPU memory of others"
FOREIGN_MEMORY, MEMORY_IN_USE = "foreign_gpu_memory_mb", "gpu_memory_in_use_mb"
WANTED_MODEL = "wanted_model_mb"


def closed(look: Fingerprint, but: Collection[str] = ()) -> dict[str, str]:
    """Return the closed gates with the reason, without those in `but`."""
    return {name: why for name, judge in GATES.items() if name not in but and (why := judge(look))}


def unverified(look: Fingerprint, but: Collection[str] = ()) -> tuple[str, ...]:
    """Return the gates whose facts are unknown on this machine."""
    return tuple(name for name, judge in GATES.items() if name not in but and judge(look) is None)


def with_resident(
    look: Fingerprint, resident: Sequence[Resident] | None, source: str
) -> Fingerprint:
    """Return the look with the fact `resident_models`, outside the hashes; None: not known."""
    names = None if resident is None else ", ".join(sorted(model.name for model in resident))
    fact = Fact(name="resident_models", value=names, source=source)
    others = (each for each in look.facts if each.name != fact.name)
    return replace(look, facts=(*others, fact))


def with_wanted(look: Fingerprint, size_bytes: int | None) -> Fingerprint:
    """Return the look with `wanted_model_mb`, the size of the model to measure; None: not known."""
    size_mb = None if size_bytes is None else size_bytes // MIB
    fact = Fact(name=WANTED_MODEL, value=size_mb, source="engine")
    return replace(look, facts=(*look.facts, fact))


def others_gpu_mb(look: Fingerprint) -> int | None:
    """Return the MiB of the GPU's memory that other programs hold; None: not known.

    The list of programs tells it. Else the sum over all programs does, if it is small, or if it is
    large while the engine holds no model.
    """
    listed, in_use = _size_mb(look, FOREIGN_MEMORY), _size_mb(look, MEMORY_IN_USE)
    if listed is not None or in_use is None or in_use <= MOST_OTHERS_MB:
        return in_use if listed is None else listed
    resting = _in_use_at_rest_mb(look) or 0
    return resting if resting > MOST_UNLISTED_MB else None


def _in_use_at_rest_mb(look: Fingerprint) -> int | None:
    """Return what all programs hold, if the engine holds no model and so none of it is its own."""
    return _size_mb(look, MEMORY_IN_USE) if look.get("resident_models") == "" else None


def model_size_matters(look: Fingerprint) -> bool:
    """Tell whether the gate of the GPU's memory depends on the room that others leave."""
    others_mb = others_gpu_mb(look) or 0
    return 0 < others_mb <= MOST_OTHERS_MB and _gpu_may_use_mb(look) is not None


def _size_mb(look: Fingerprint, name: str) -> int | None:
    value = look.get(name)
    if not isinstance(value, (int, float)) or fact_problem(name, value):
        return None
    return int(value)


def clocks_moved(step_ns: int, slept_ns: int) -> dict[str, str]:
    """Return the gates that a step of the wall clock or a sleep closed during a trial."""
    moved = {}
    if abs(step_ns) > MOST_STEP_NS:
        direction = "forward" if step_ns > 0 else "back"
        moved["clock"] = f"the clock stepped {direction} by {show_ns(abs(step_ns))}"
    if slept_ns > LEAST_SLEEP_NS:
        moved["sleep"] = f"the machine slept for {show_ns(slept_ns)}"
    return moved


Judge = Callable[[Fingerprint], str | None]
"""Returns why the gate is closed; empty: it is open; None: the facts are unknown."""


def _power(look: Fingerprint) -> str | None:
    source = look.get("power_source")
    if isinstance(source, str):
        return "on battery" if source == "battery" else ""
    without_battery = look.get("battery_present") is False and look.get("virtual") is not True
    return "" if without_battery else None


def _low_power(look: Fingerprint) -> str | None:
    low = look.get("low_power_mode")
    if isinstance(low, bool):
        return "low-power mode" if low else ""
    return "" if look.get("power_modes_present") is False else None


def _heat(look: Fingerprint) -> str | None:
    level, slowed = look.get("thermal_class"), look.get("gpu_slowed")
    if slowed is True:
        return "the GPU is slowed down by heat or power"
    if isinstance(level, str) and level:
        return "" if level == "nominal" else f"thermal pressure {level}"
    return "" if slowed is False else None


def _pressure(look: Fingerprint) -> str | None:
    level = look.get("memory_pressure")
    if isinstance(level, str) and level:
        return "" if level == "normal" else f"memory pressure {level}"
    return None


def _cpu(look: Fingerprint) -> str | None:
    return _busy(look.get("foreign_cpu_percent"), "CPU")


def _gpu(look: Fingerprint) -> str | None:
    why = _busy(look.get("foreign_gpu_percent"), "GPU")
    return _unless_nothing_to_tell(look, "foreign_gpu_percent") if why is None else why


def _unless_nothing_to_tell(look: Fingerprint, name: str) -> str | None:
    """Open the gate on a machine without a GPU; leave it unverified on one that may have a GPU."""
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
    """Tell whether the model fits into the GPU's memory, but not beside what others hold."""
    wanted_mb, whole_mb = _size_mb(look, WANTED_MODEL), _gpu_may_use_mb(look)
    if wanted_mb is None or whole_mb is None:
        return False
    return wanted_mb <= whole_mb < wanted_mb + held_mb


def _gpu_may_use_mb(look: Fingerprint) -> int | None:
    """Return the known size; the expected size of such machines is too weak to close a gate."""
    sizes = (_size_mb(look, name) for name in GPU_SIZES if name != "gpu_limit_expected_mb")
    return next((size for size in sizes if size is not None), None)


def _busy(percent: FactValue, what: str) -> str | None:
    if not isinstance(percent, (int, float)) or percent != percent:
        return None
    if percent <= BUSY_PERCENT:
        return ""
    return f"{percent:.0f} % of the {what} is busy with other programs"


def _other_models(look: Fingerprint) -> str | None:
    names = look.get("resident_models")
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
