"""Checks of the machine itself: identity, history, engine, disk, load, power and heat. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fleet.doctor.changes import apart, changes
from fleet.doctor.findings import (
    Findings,
    MachineCheck,
    OllamaFacts,
    State,
    cannot_tell,
    ok,
    unfit,
)
from fleet.doctor.gpu import gpu, gpu_users
from fleet.model.declared import Disagreement, disagreements, size_in_name
from fleet.model.experiment import warmest_c
from fleet.model.gates import OTHER_MODELS, unverified
from fleet.model.machine import FINGERPRINT_RECIPE
from fleet.model.ollama_versions import IDLE_MLX_RESTS, show_version, version_of
from fleet.units import GIB, show_bytes

BUSY_PERCENT = 10.0
"""Load by other programs, of all cores: above this it affects measurements on the CPU."""
LEAST_FREE_BYTES = 20 * GIB
"""Room for a model of 20 billion parameters and the results."""
HOT_C = 85.0
"""A machine this hot at rest soon throttles under load."""
NEVER_SEEN = "not measured yet, so there is nothing to compare with"


def machine(findings: Findings) -> Iterator[MachineCheck]:
    """Name the machine."""
    kind = []
    if findings.fact("virtual"):
        kind.append(f"a guest under {findings.fact('hypervisor') or 'an unknown hypervisor'}")
    if findings.fact("container"):
        kind.append(f"in a container ({findings.fact('container_kind') or 'of unknown kind'})")
    text = f"{findings.label}, {', '.join(kind)}" if kind else findings.label
    yield ok("machine", text)


def declared(findings: Findings) -> Iterator[MachineCheck]:
    """Check that the machine is what its name and the fleet's file say."""
    size, memory_gb = size_in_name(findings.name), findings.fact("memory_gb")
    if size is not None and isinstance(memory_gb, int) and size != memory_gb:
        yield unfit(
            "name",
            f"{findings.name} is called {size} GB and has {memory_gb} GB",
            hint="fleet join HEAD --name NEW-NAME",
        )
    if findings.declared is None:
        return
    path, fleet = findings.declared
    wanted = fleet.machines.get(findings.name)
    if wanted is None:
        yield cannot_tell(
            "declared",
            f"{path} does not mention {findings.name}",
            f"add it there, beside {', '.join(fleet.machines)}",
        )
        return
    wrong = disagreements(wanted, findings.fingerprint)
    if "wired-limit" in wanted.allow and not findings.mac:
        yield unfit(
            "allowed",
            f"{path} allows wired-limit, which only a Mac has",
            hint=f"remove it from {path}",
        )
    for disagreement in wrong:
        yield _disagreement(findings, path, disagreement)
    if not wrong:
        yield ok("declared", f"{findings.name} is as {path} says")


def _disagreement(findings: Findings, path: Path, disagreement: Disagreement) -> MachineCheck:
    claim = f"{path} says {disagreement.name} {disagreement.declared}"
    if disagreement.actual is None:
        return cannot_tell(
            "declared",
            f"{claim}; it cannot be read here: {findings.why(disagreement.name)}",
            f"remove it from {path}, or see: fleet machines --here",
        )
    return unfit(
        "declared",
        f"{claim}, it is {disagreement.actual}",
        f"correct machines.{findings.name}.{disagreement.name} there, or use the right machine",
    )


def _held_core(engine: OllamaFacts) -> str:
    """Say that a model keeps a core busy while nobody asks it, which `others` does not count."""
    version = version_of(engine.version)
    if not engine.resident_on_mlx or version is None or version >= IDLE_MLX_RESTS:
        return ""
    rests = show_version(IDLE_MLX_RESTS)
    return f"; before Ollama {rests} a model on MLX keeps a core busy while it rests"


def history(findings: Findings) -> Iterator[MachineCheck]:
    """Check whether the machine has changed since it was last measured."""
    seen = findings.seen
    if seen is None:
        yield ok("history", findings.seen_problem or NEVER_SEEN)
        return
    since = f"since {seen.at[:16]}"
    if seen.recipe != FINGERPRINT_RECIPE:
        yield cannot_tell(
            "history",
            f"last measured with fingerprint recipe {seen.recipe}, now {FINGERPRINT_RECIPE}",
            hint="measure again",
        )
        return
    hard, soft = changes(seen, findings.fingerprint)
    if not hard and not soft:
        yield ok("history", f"the same hardware and software {since}")
        return
    yield cannot_tell(
        "history",
        f"changed {since}: {', '.join(hard + soft)}",
        f"{apart(hard, soft)}; to measure everything anew: {findings.again}",
    )


def ollama(findings: Findings) -> Iterator[MachineCheck]:
    """Check that an Ollama answers, that its memory is free, and that it keeps its version."""
    engine = findings.ollama
    if engine.version is None:
        yield unfit("ollama", engine.problem, hint=engine.hint)
        return
    if engine.version == "0.0.0":
        yield cannot_tell(
            "ollama", f"an unknown build answers at {engine.address}", hint="use a released version"
        )
    else:
        yield ok("ollama", f"{engine.version} at {engine.address}")
    if engine.resident:
        names = f"in memory now: {', '.join(engine.resident)}"
        yield unfit("resident", f"{names}{_held_core(engine)}", f"ollama stop {engine.resident[0]}")
    if "Ollama.app" in findings.programs:
        yield cannot_tell(
            "updates",
            "the app updates itself, and each new version begins a new history",
            "quit it between experiments, and run `ollama serve` of a fixed version",
        )


def environment(findings: Findings) -> Iterator[MachineCheck]:
    """Check whether the environment variables of Ollama are known."""
    if findings.ollama.version is None:
        return
    text = findings.fact("engine_environment")
    if text is None:
        hint = "run doctor as the user that runs Ollama, or as root"
        what = findings.why("engine_environment")
        yield cannot_tell("environment", what, hint=hint)
    else:
        yield ok("environment", str(text) or "all at their defaults")


def disk(findings: Findings) -> Iterator[MachineCheck]:
    """Check the free space where models lie."""
    folder, free = findings.ollama.folder, findings.ollama.free_bytes
    if folder is None or free is None:
        yield cannot_tell(
            "disk", "no folder of models", "set OLLAMA_MODELS to the folder of the models"
        )
        return
    few = free < LEAST_FREE_BYTES
    hint = "ollama rm MODEL, or another folder with OLLAMA_MODELS" if few else ""
    text = f"{show_bytes(free)} free in {folder}"
    yield MachineCheck(name="disk", state="unfit" if few else "ok", finding=text, hint=hint)


def load(findings: Findings) -> Iterator[MachineCheck]:
    """Check how busy other programs keep the machine."""
    cpu, gpu_busy = findings.fact("foreign_cpu_percent"), findings.fact("foreign_gpu_percent")
    if not isinstance(cpu, (int, float)):
        why = findings.why("foreign_cpu_percent")
        yield cannot_tell(
            "others",
            f"load by other programs unknown: {why}",
            "ps -A    must list every program to the user that runs fleet",
        )
        return
    text = f"other programs use {cpu:.0f} % of all cores"
    if isinstance(gpu_busy, (int, float)):
        text += f" and {gpu_busy:.0f} % of the GPU"
    busy = cpu > BUSY_PERCENT or (isinstance(gpu_busy, (int, float)) and gpu_busy > BUSY_PERCENT)
    hint = f"end them; this lists them: {'top -o cpu' if findings.mac else 'top'}" if busy else ""
    yield MachineCheck(name="others", state="unfit" if busy else "ok", finding=text, hint=hint)


def users(findings: Findings) -> Iterator[MachineCheck]:
    """Name the users that are logged in, if there are several."""
    text = findings.answers.get("who", "")
    names = sorted({line.split()[0] for line in text.splitlines() if line.split()})
    if len(names) > 1:
        yield cannot_tell("users", f"logged in: {', '.join(names)}", hint="ask them to wait")


def power(findings: Findings) -> Iterator[MachineCheck]:
    """Check the power source and the power mode."""
    source, mode = findings.fact("power_source"), findings.fact("power_mode")
    if source == "battery":
        yield unfit("power", "on battery", hint="plug it in")
    elif findings.fact("low_power_mode"):
        yield unfit(
            "power",
            "in low-power mode",
            "sudo pmset -a lowpowermode 0" if findings.mac else "powerprofilesctl set balanced",
        )
    elif source is None:
        why = findings.why("power_source")
        yield cannot_tell(
            "power",
            f"source unknown: {why}",
            "make sure that it is plugged in: the machine does not report it",
        )
    else:
        text = f"on {source}, mode {mode}" if mode else f"on {source}"
        yield ok("power", text)


def heat(findings: Findings) -> Iterator[MachineCheck]:
    """Check that the machine is cool enough to be measured."""
    level, celsius = findings.fact("thermal_class"), warmest_c(findings.fingerprint)
    slowed = findings.fact("gpu_slowed")
    if slowed:
        yield unfit(
            "heat", "the GPU is throttled now", "let it cool; check its fans and its power supply"
        )
    elif level is not None:
        yield _warm(f"thermal level {level}", hot=level != "nominal")
    elif celsius is not None:
        yield _warm(f"{celsius:.0f} C", hot=celsius >= HOT_C)
    elif slowed is not None:
        yield ok("heat", "the GPU is not throttled")
    else:
        why = findings.why("thermal_class" if findings.mac else "cpu_temperature_c")
        hint = "sudo modprobe coretemp    (AMD: k10temp)"
        if findings.fact("virtual"):
            hint = "a guest cannot read temperatures: check its host"
        elif findings.mac:
            hint = "notifyutil -g com.apple.system.thermalpressurelevel    must print a level"
        what = f"heat unknown: {why}"
        yield cannot_tell("heat", what, hint=hint)


def _warm(text: str, *, hot: bool) -> MachineCheck:
    hint = "let it cool" if hot else ""
    return MachineCheck(name="heat", state="unfit" if hot else "ok", finding=text, hint=hint)


def pressure(findings: Findings) -> Iterator[MachineCheck]:
    """Check whether memory is short."""
    level, swap_mb = findings.fact("memory_pressure"), findings.fact("swap_used_mb")
    swap = f", {swap_mb:.0f} MiB swapped" if isinstance(swap_mb, (int, float)) and swap_mb else ""
    if level is None:
        why = findings.why("memory_pressure")
        hint = "free -m    shows what is left; a kernel started with psi=1 reports the pressure"
        if findings.mac:
            hint = "sysctl kern.memorystatus_vm_pressure_level    must print a level"
        what = f"pressure unknown: {why}"
        yield cannot_tell("memory", what, hint=hint)
        return
    state: State = "ok" if level == "normal" else "unfit"
    hint = "" if level == "normal" else "close programs"
    yield MachineCheck(name="memory", state=state, finding=f"pressure {level}{swap}", hint=hint)


def gates(findings: Findings) -> Iterator[MachineCheck]:
    """Name the gates that cannot be verified on this machine."""
    unknown = unverified(findings.look, {OTHER_MODELS})
    if unknown:
        yield cannot_tell(
            "gates",
            f"unverified: {', '.join(unknown)}; they delay no trial, except under gates: strict",
            "keep gates: wait, the default, which delays a trial for what is known",
        )


Make = Callable[[Findings], Iterator[MachineCheck]]
CHECKS: tuple[Make, ...] = (
    *(machine, declared, history, ollama, environment, gpu, gpu_users, disk),
    *(load, users, power, heat, pressure, gates),
)
