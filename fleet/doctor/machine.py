"""What doctor makes of what it found: one check each, pure. Three states, and the hint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fleet.doctor.changes import apart, changes
from fleet.doctor.findings import Check, Findings, OllamaFound, RayFound, State
from fleet.doctor.gpu import gpu, gpu_users
from fleet.model.declared import Disagreement, disagreements, size_in_name
from fleet.model.experiment import warmest_c
from fleet.model.gates import OTHER_MODELS, unverified
from fleet.model.machine import FINGERPRINT_RECIPE
from fleet.units import GIB, show_bytes

__all__ = ["Check", "Findings", "OllamaFound", "RayFound", "State", "checks"]

BUSY_PERCENT = 10.0
"""Of all cores, with others: from here on it shows in what is measured on the CPU."""
LEAST_FREE_BYTES = 20 * GIB
"""A model of 20 billion parameters and the store beside it."""
HOT_C = 85.0
"""At rest, before anything is measured: hardly room left to work in."""
NEVER_SEEN = "not measured yet: nothing to compare with"


def checks(found: Findings) -> list[Check]:
    """All of them, in the order in which people look: machine, engine, condition, network."""
    return [check for make in CHECKS for check in make(found)]


def machine(found: Findings) -> Iterator[Check]:
    kind = []
    if found.fact("virtual"):
        kind.append(f"a guest under {found.fact('hypervisor') or 'an unknown hypervisor'}")
    if found.fact("container"):
        kind.append(f"in a container ({found.fact('container_kind') or 'of unknown kind'})")
    told = f"{found.label}, {', '.join(kind)}" if kind else found.label
    yield Check(name="machine", state="ok", found=told)


def declared(found: Findings) -> Iterator[Check]:
    """What people call the machine, in the file and in its very name, must be so."""
    size, memory_gb = size_in_name(found.name), found.fact("memory_gb")
    if size is not None and isinstance(memory_gb, int) and size != memory_gb:
        what = f"{found.name} is called {size} GB and has {memory_gb} GB"
        yield Check(name="name", state="unfit", found=what, hint="fleet join HEAD --name NEW-NAME")
    if found.declared is None:
        return
    path, fleet = found.declared
    wanted = fleet.machines.get(found.name)
    if wanted is None:
        what = f"{path} says nothing of {found.name}"
        hint = f"add it there; it names {', '.join(fleet.machines)}"
        yield Check(name="declared", state="cannot tell", found=what, hint=hint)
        return
    wrong = disagreements(wanted, found.fingerprint)
    if "wired-limit" in wanted.allow and not found.mac:
        what = f"{path} allows wired-limit, which only a Mac has"
        yield Check(name="allowed", state="unfit", found=what, hint=f"take it out of {path}")
    for one in wrong:
        yield _disagreement(found, path, one)
    if not wrong:
        yield Check(name="declared", state="ok", found=f"{found.name} is what {path} says")


def _disagreement(found: Findings, path: Path, one: Disagreement) -> Check:
    said = f"{path} says {one.name} {one.declared}"
    if one.found is None:
        what = f"{said}; it cannot be read here: {found.why(one.name)}"
        hint = f"take it out of {path}, or see: fleet machines --here"
        return Check(name="declared", state="cannot tell", found=what, hint=hint)
    hint = f"correct machines.{found.name}.{one.name} there, or use the machine that is meant"
    return Check(name="declared", state="unfit", found=f"{said}, it is {one.found}", hint=hint)


def history(found: Findings) -> Iterator[Check]:
    """A machine that has changed is another in every comparison: said, never merged."""
    seen = found.seen
    if seen is None:
        yield Check(name="history", state="ok", found=found.seen_problem or NEVER_SEEN)
        return
    since = f"since {seen.at[:16]}"
    if seen.recipe != FINGERPRINT_RECIPE:
        what = f"last seen with recipe {seen.recipe} of the fingerprint, now {FINGERPRINT_RECIPE}"
        yield Check(name="history", state="cannot tell", found=what, hint="measure once more")
        return
    hard, soft = changes(seen, found.fingerprint)
    if not hard and not soft:
        yield Check(name="history", state="ok", found=f"the same hardware and software {since}")
        return
    what = f"changed {since}: {', '.join(hard + soft)}"
    hint = f"{apart(hard, soft)}; to measure all anew: fleet submit EXPERIMENT --again"
    yield Check(name="history", state="cannot tell", found=what, hint=hint)


def ollama(found: Findings) -> Iterator[Check]:
    there = found.ollama
    if there.version is None:
        yield Check(name="ollama", state="unfit", found=there.problem, hint=there.hint)
        return
    if there.version == "0.0.0":
        what = f"an unknown build answers at {there.address}"
        yield Check(name="ollama", state="cannot tell", found=what, hint="use a released version")
    else:
        yield Check(name="ollama", state="ok", found=f"{there.version} at {there.address}")
    if there.resident:
        what = f"in memory now: {', '.join(there.resident)}"
        hint = f"ollama stop {there.resident[0]}"
        yield Check(name="resident", state="unfit", found=what, hint=hint)
    if "Ollama.app" in found.programs:
        what = "the app updates itself; each new version begins a new history"
        hint = "between two submits: quit it, run `ollama serve` of a version you keep"
        yield Check(name="updates", state="cannot tell", found=what, hint=hint)


def environment(found: Findings) -> Iterator[Check]:
    if found.ollama.version is None:
        return
    told = found.fact("engine_environment")
    if told is None:
        hint = "run doctor as the user that runs Ollama, or as root"
        what = found.why("engine_environment")
        yield Check(name="environment", state="cannot tell", found=what, hint=hint)
    else:
        yield Check(name="environment", state="ok", found=str(told) or "all at their defaults")


def disk(found: Findings) -> Iterator[Check]:
    folder, free = found.ollama.folder, found.ollama.free_bytes
    if folder is None or free is None:
        hint = "set OLLAMA_MODELS to the folder of the models"
        yield Check(name="disk", state="cannot tell", found="no folder of models", hint=hint)
        return
    few = free < LEAST_FREE_BYTES
    hint = "ollama rm MODEL, or another folder with OLLAMA_MODELS" if few else ""
    told = f"{show_bytes(free)} free in {folder}"
    yield Check(name="disk", state="unfit" if few else "ok", found=told, hint=hint)


def load(found: Findings) -> Iterator[Check]:
    cpu, gpu_busy = found.fact("foreign_cpu_percent"), found.fact("foreign_gpu_percent")
    if not isinstance(cpu, (int, float)):
        why = found.why("foreign_cpu_percent")
        what = f"load of others unknown: {why}"
        hint = "ps -A    must list every program to the user that runs fleet"
        yield Check(name="others", state="cannot tell", found=what, hint=hint)
        return
    told = f"others keep {cpu:.0f} % of all cores busy"
    if isinstance(gpu_busy, (int, float)):
        told += f", the GPU {gpu_busy:.0f} %"
    busy = cpu > BUSY_PERCENT or (isinstance(gpu_busy, (int, float)) and gpu_busy > BUSY_PERCENT)
    hint = f"end what runs: {'top -o cpu' if found.mac else 'top'}" if busy else ""
    yield Check(name="others", state="unfit" if busy else "ok", found=told, hint=hint)


def users(found: Findings) -> Iterator[Check]:
    told = found.answers.get("who", "")
    names = sorted({line.split()[0] for line in told.splitlines() if line.split()})
    if len(names) > 1:
        what = f"logged in: {', '.join(names)}"
        yield Check(name="users", state="cannot tell", found=what, hint="ask them to wait")


def power(found: Findings) -> Iterator[Check]:
    source, mode = found.fact("power_source"), found.fact("power_mode")
    if source == "battery":
        yield Check(name="power", state="unfit", found="on battery", hint="plug it in")
    elif found.fact("low_power_mode"):
        hint = "sudo pmset -a lowpowermode 0" if found.mac else "powerprofilesctl set balanced"
        yield Check(name="power", state="unfit", found="in low-power mode", hint=hint)
    elif source is None:
        why = found.why("power_source")
        hint = "see that it is plugged in: the machine itself does not tell"
        yield Check(name="power", state="cannot tell", found=f"source unknown: {why}", hint=hint)
    else:
        told = f"on {source}, mode {mode}" if mode else f"on {source}"
        yield Check(name="power", state="ok", found=told)


def heat(found: Findings) -> Iterator[Check]:
    level, celsius = found.fact("thermal_class"), warmest_c(found.fingerprint)
    slowed = found.fact("gpu_slowed")
    if slowed:
        hint = "let it cool; look at its fans and its power supply"
        yield Check(name="heat", state="unfit", found="the GPU is slowed down now", hint=hint)
    elif level is not None:
        yield _warm(f"thermal level {level}", hot=level != "nominal")
    elif celsius is not None:
        yield _warm(f"{celsius:.0f} C", hot=celsius >= HOT_C)
    elif slowed is not None:
        yield Check(name="heat", state="ok", found="the GPU is not slowed down")
    else:
        why = found.why("thermal_class" if found.mac else "cpu_temperature_c")
        hint = "sudo modprobe coretemp    (AMD: k10temp)"
        if found.fact("virtual"):
            hint = "a guest is shown no temperature: look at its host"
        elif found.mac:
            hint = "notifyutil -g com.apple.system.thermalpressurelevel    must print a level"
        what = f"heat unknown: {why}"
        yield Check(name="heat", state="cannot tell", found=what, hint=hint)


def _warm(told: str, *, hot: bool) -> Check:
    hint = "let it cool" if hot else ""
    return Check(name="heat", state="unfit" if hot else "ok", found=told, hint=hint)


def pressure(found: Findings) -> Iterator[Check]:
    level, swap_mb = found.fact("memory_pressure"), found.fact("swap_used_mb")
    swap = f", {swap_mb:.0f} MiB swapped" if isinstance(swap_mb, (int, float)) and swap_mb else ""
    if level is None:
        why = found.why("memory_pressure")
        hint = "free -m    shows what is left; a kernel started with psi=1 tells the pressure"
        if found.mac:
            hint = "sysctl kern.memorystatus_vm_pressure_level    must print a level"
        what = f"pressure unknown: {why}"
        yield Check(name="memory", state="cannot tell", found=what, hint=hint)
        return
    state: State = "ok" if level == "normal" else "unfit"
    hint = "" if level == "normal" else "close programs"
    yield Check(name="memory", state=state, found=f"pressure {level}{swap}", hint=hint)


def gates(found: Findings) -> Iterator[Check]:
    """What no trial on this machine can be held for."""
    untold = unverified(found.look, {OTHER_MODELS})
    if untold:
        what = f"unverified: {', '.join(untold)}; they hold nobody, except under gates: strict"
        hint = "leave gates at wait, the default: it holds a trial for what is told"
        yield Check(name="gates", state="cannot tell", found=what, hint=hint)


Make = Callable[[Findings], Iterator[Check]]
CHECKS: tuple[Make, ...] = (
    *(machine, declared, history, ollama, environment, gpu, gpu_users, disk),
    *(load, users, power, heat, pressure, gates),
)
