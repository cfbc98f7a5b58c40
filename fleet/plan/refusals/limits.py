"""Which settings of the system and of the engine may be planned on which machine; pure.

A wired limit that is wrong can stop a Mac, so every bound is checked before a machine is touched,
and again by the helper that sets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.model.machine import ENGINE_ENVIRONMENT, WIRED_LIMIT, Machine
from fleet.model.settings import Value, settings_of
from fleet.units import GIB, MIB

KEEP_FREE_MB = 8192
"""Of every Mac's memory stays so much for the system: with less, Macs have panicked."""

NOT_THERE = "this worker does not say that it can change it"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """One value of `wired_limit_mb` on one machine, in MiB; None where nobody knows."""

    machine: str
    asked: Value
    default_mb: int | None
    effective_mb: int | None

    @property
    def change_mb(self) -> int | None:
        """Effective minus default: what the setting really does."""
        if self.effective_mb is None or self.default_mb is None:
            return None
        return self.effective_mb - self.default_mb

    def __str__(self) -> str:
        words = f"{self.machine}: wired_limit_mb={self.asked}"
        if self.asked == "default":
            return f"{words} is {_mib(self.effective_mb)}"
        if self.change_mb is None:
            return f"{words}: its default is not known"
        amount = f"{abs(self.change_mb) * MIB / GIB:.1f} GiB"
        does = (
            "is its default"
            if not self.change_mb
            else (
                f"adds {amount} to its default"
                if self.change_mb > 0
                else f"takes {amount} of its default"
            )
        )
        return f"{words} {does}" + (f" of {_mib(self.default_mb)}" if self.change_mb else "")


def limit_changes(
    combinations: Sequence[Mapping[str, Value]], machines: Sequence[Machine]
) -> Iterator[LimitChange]:
    """Every value asked for, on every machine."""
    for machine in machines:
        default_mb = default_limit_mb(machine)
        for asked in _asked_limits(combinations):
            yield LimitChange(
                machine=machine.name,
                asked=asked,
                default_mb=default_mb,
                effective_mb=default_mb if asked in ("default", 0) else int(asked),
            )


def limit_conflicts(
    combinations: Sequence[Mapping[str, Value]], machines: Sequence[Machine]
) -> Iterator[tuple[str, str]]:
    """(machine, what differs) where a wired limit is set and the engine works with another one.

    A trial that sets a limit has an engine of its own, which starts under it.
    """
    if all("wired_limit_mb" in combination for combination in combinations):
        return
    for machine in machines:
        conflict = machine.fingerprint.get("gpu_limit_conflict")
        if isinstance(conflict, str):
            yield machine.name, f"wired limit {conflict}; restart Ollama to measure under it"


def default_limit_mb(machine: Machine) -> int | None:
    """As the machine says where its setting is 0 now, else as such machines are known to have."""
    look = machine.fingerprint.get
    effective, expected = look("gpu_limit_mb"), look("gpu_limit_expected_mb")
    if look("wired_limit_mb") == 0 and isinstance(effective, (int, float)):
        return int(effective)
    return int(expected) if isinstance(expected, (int, float)) else None


def limit_asked_bytes(machine: Machine, asked: Value | None) -> int | None:
    """What the GPU may use under this `wired_limit_mb`; None asked: as it is now."""
    if asked is None or machine.fingerprint.get("os") != "darwin":
        return machine.gpu_memory_bytes()
    limit_mb = default_limit_mb(machine) if asked in ("default", 0) else int(asked)
    return None if limit_mb is None else limit_mb * MIB


def refused_settings(
    combinations: Sequence[Mapping[str, Value]],
    machines: Sequence[Machine],
    below_default: str = "refuse",
) -> Iterator[str]:
    """One line for each thing that must not or cannot be set, with what to type next."""
    limits = _asked_limits(combinations)
    if limits and any(not isinstance(c.get("num_ctx"), int) for c in combinations):
        yield (
            "settings.wired_limit_mb needs a fixed settings.num_ctx: Ollama chooses the context by "
            "the limit, so two limits would not do the same work"
        )
    if limits:
        for machine in machines:
            yield from _refused_limits(machine, limits, below_default)
    variables = (setting.name for setting in settings_of("environment"))
    first = next((name for name in variables if any(name in c for c in combinations)), None)
    for machine in machines if first else ():
        if why := machine.settable.get(ENGINE_ENVIRONMENT, NOT_THERE):
            yield f"settings.{first} cannot be set on {machine.name}: {why}"


def _asked_limits(combinations: Sequence[Mapping[str, Value]]) -> list[Value]:
    found = (c["wired_limit_mb"] for c in combinations if "wired_limit_mb" in c)
    return list(dict.fromkeys(found))


def _refused_limits(machine: Machine, limits: Sequence[Value], below_default: str) -> Iterator[str]:
    if limits == ["default"] and machine.fingerprint.get("os") != "darwin":
        return  # it has no limit, which is what it is asked for
    if why := machine.settable.get(WIRED_LIMIT, NOT_THERE):
        yield f"settings.wired_limit_mb cannot be set on {machine.name}: {why}"
        return
    for asked in limits:
        if asked != "default" and int(asked) != 0:
            yield from _out_of_bounds(machine, int(asked), below_default)


def _out_of_bounds(machine: Machine, asked_mb: int, below_default: str) -> Iterator[str]:
    memory_gb, default_mb = machine.fingerprint.get("memory_gb"), default_limit_mb(machine)
    words = f"settings.wired_limit_mb: {asked_mb} on {machine.name}"
    if not isinstance(memory_gb, (int, float)):
        yield f"{words}: it does not say how much memory it has"
        return
    most_mb = int(memory_gb * GIB // MIB) - KEEP_FREE_MB
    about = f"{memory_gb} GB, default {_mib(default_mb)}"
    if asked_mb > most_mb:
        yield f"{words} ({about}) is above {most_mb}: 8 GiB are left to the system"
    elif asked_mb < int(memory_gb * GIB // MIB) // 4:
        yield f"{words} ({about}) is below a quarter of its memory"
    elif below_default == "allow":
        return
    elif default_mb is None:
        yield f"{words} ({about}) may be below it; below_default: allow measures it anyway"
    elif asked_mb < default_mb:
        yield (
            f"{words} ({about}) lowers its limit by {default_mb - asked_mb} MiB; "
            "below_default: allow measures that"
        )


def _mib(limit_mb: int | None) -> str:
    return "not known" if limit_mb is None else f"{limit_mb} MiB"
