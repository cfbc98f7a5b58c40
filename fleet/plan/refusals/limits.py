"""Which settings of the system and of the engine can be planned on which machine; pure.

A wired limit that is wrong can stop a Mac, so every bound is checked before a machine is touched,
and again by the helper that sets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.model.machine import ENGINE_ENVIRONMENT, ENGINE_PROGRAM, WIRED_LIMIT, Machine
from fleet.model.settings import Value, settings_of
from fleet.units import GIB, MIB

KEEP_FREE_MB = 8192
"""Memory that stays for the system of every Mac: with less, Macs have panicked."""

NOT_THERE = "this worker does not say that it can change it"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """One value of `wired_limit_mb` on one machine, in MiB; None where nobody knows."""

    machine: str
    requested: Value
    default_mb: int | None
    effective_mb: int | None

    @property
    def change_mb(self) -> int | None:
        """Effective minus default limit: what the setting really does."""
        if self.effective_mb is None or self.default_mb is None:
            return None
        return self.effective_mb - self.default_mb

    def __str__(self) -> str:
        words = f"{self.machine}: wired_limit_mb={self.requested}"
        if self.requested == "default":
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
    """Yield what each requested value means on each machine."""
    for machine in machines:
        default_mb = default_limit_mb(machine)
        for requested in _requested_limits(combinations):
            yield LimitChange(
                machine=machine.name,
                requested=requested,
                default_mb=default_mb,
                effective_mb=default_mb if requested in ("default", 0) else int(requested),
            )


def limit_conflicts(
    combinations: Sequence[Mapping[str, Value]], machines: Sequence[Machine]
) -> Iterator[tuple[str, str]]:
    """Yield the machines whose engine works with another wired limit than the one set, and how.

    A trial that sets a limit has an engine of its own, which starts under it.
    """
    if all("wired_limit_mb" in combination for combination in combinations):
        return
    for machine in machines:
        conflict = machine.fingerprint.get("gpu_limit_conflict")
        if isinstance(conflict, str):
            yield machine.name, f"wired limit {conflict}; restart Ollama to measure under it"


def default_limit_mb(machine: Machine) -> int | None:
    """Return the limit that the machine reports while its setting is 0, else the expected one."""
    look = machine.fingerprint.get
    effective, expected = look("gpu_limit_mb"), look("gpu_limit_expected_mb")
    if look("wired_limit_mb") == 0 and isinstance(effective, (int, float)):
        return int(effective)
    return int(expected) if isinstance(expected, (int, float)) else None


def gpu_bytes_under(machine: Machine, wired_limit: Value | None) -> int | None:
    """Return the bytes that the GPU may use under a wired limit; None: under the limit as it is."""
    if wired_limit is None or machine.fingerprint.get("os") != "darwin":
        return machine.gpu_memory_bytes()
    limit_mb = default_limit_mb(machine) if wired_limit in ("default", 0) else int(wired_limit)
    return None if limit_mb is None else limit_mb * MIB


def refused_settings(
    combinations: Sequence[Mapping[str, Value]],
    machines: Sequence[Machine],
    below_default: str = "refuse",
) -> Iterator[str]:
    """Yield a line for each setting that must not or cannot be set, with a hint."""
    limits = _requested_limits(combinations)
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
    for machine in machines:
        yield from _refused_programs(machine, combinations)


def _refused_programs(
    machine: Machine, combinations: Sequence[Mapping[str, Value]]
) -> Iterator[str]:
    for label in dict.fromkeys(c["engine_binary"] for c in combinations if "engine_binary" in c):
        program = machine.programs.get(str(label))
        words = f"settings.engine_binary: {label} on {machine.name}"
        if why := machine.settable.get(ENGINE_PROGRAM, NOT_THERE):
            yield f"{words}: {why}"
        elif program is None:
            allow = f"fleet join --allow engine-binary {label}=PATH"
            yield f"{words} is no registered program; there: {allow}"
        elif program.refusal:
            yield f"{words} cannot be started: {program.refusal}"


def _requested_limits(combinations: Sequence[Mapping[str, Value]]) -> list[Value]:
    return list(dict.fromkeys(c["wired_limit_mb"] for c in combinations if "wired_limit_mb" in c))


def _refused_limits(machine: Machine, limits: Sequence[Value], below_default: str) -> Iterator[str]:
    if limits == ["default"] and machine.fingerprint.get("os") != "darwin":
        return  # the machine has no limit, which is what the experiment requests
    if why := machine.settable.get(WIRED_LIMIT, NOT_THERE):
        yield f"settings.wired_limit_mb cannot be set on {machine.name}: {why}"
        return
    for requested in limits:
        if requested != "default" and int(requested) != 0:
            yield from _out_of_bounds(machine, int(requested), below_default)


def _out_of_bounds(machine: Machine, limit_mb: int, below_default: str) -> Iterator[str]:
    memory_gb, default_mb = machine.fingerprint.get("memory_gb"), default_limit_mb(machine)
    words = f"settings.wired_limit_mb: {limit_mb} on {machine.name}"
    if not isinstance(memory_gb, (int, float)):
        yield f"{words}: it does not say how much memory it has"
        return
    most_mb = int(memory_gb * GIB // MIB) - KEEP_FREE_MB
    about = f"{memory_gb} GB, default {_mib(default_mb)}"
    if limit_mb > most_mb:
        yield f"{words} ({about}) is above {most_mb}: 8 GiB are left to the system"
    elif limit_mb < int(memory_gb * GIB // MIB) // 4:
        yield f"{words} ({about}) is below a quarter of its memory"
    elif below_default == "allow":
        return
    elif default_mb is None:
        yield f"{words} ({about}) may be below it; below_default: allow measures it anyway"
    elif limit_mb < default_mb:
        yield (
            f"{words} ({about}) lowers its limit by {default_mb - limit_mb} MiB; "
            "below_default: allow measures that"
        )


def _mib(limit_mb: int | None) -> str:
    return "not known" if limit_mb is None else f"{limit_mb} MiB"
