"""Facts of a Linux machine, from files of the kernel and two quick commands; all without root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from fleet.fingerprint.drm import DRM, is_integrated
from fleet.fingerprint.facts import Answer, ask_all, facts, outside_of
from fleet.fingerprint.linux_condition import SUPPLIES, condition_facts
from fleet.fingerprint.sizes import KIB_PER_MIB, machine_gb
from fleet.fingerprint.virtual import container_facts, firmware_names, guest_facts
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.amd import parse_drm
from fleet.readers.dmi import MemoryDevice, parse_memory_devices, parse_udev_memory, peak_gb_s
from fleet.readers.lscpu import Lscpu, parse_lscpu
from fleet.readers.proc import (
    CpuInfo,
    parse_cores,
    parse_cpu_list,
    parse_cpuinfo,
    parse_meminfo,
    parse_os_release,
)
from fleet.readers.sensors import PRINT_HEAT

Some = TypeVar("Some")

NO_BOARD_NAME = frozenset(
    {"system product name", "to be filled by o.e.m.", "default string", "not applicable", "none"}
)
KINDS_OF_CORE = {"Performance": "cpu_core", "Efficiency": "cpu_atom"}
"""Intel's two kinds, by the names of their counters."""
FIELDS = {
    "memory_gb": "total_kib",
    "memory_total_mb": "total_kib",
    "memory_available_mb": "available_kib",
    "swap_used_mb": "swap_free_kib",
}
"""Facts of the memory, by the field of /proc/meminfo that they come from."""
UDEV_DMI = "/run/udev/data/+dmi:id"
QUESTIONS: Mapping[str, Sequence[str]] = {
    "uname": ("uname", "-rm"),
    "lscpu": ("lscpu", "-J"),
    "drm": DRM,
    "supplies": SUPPLIES,
    "dmidecode": ("dmidecode", "-t", "17"),
    "heat": ("sh", "-c", PRINT_HEAT),
}


def linux_facts(commands: Commands) -> list[Fact]:
    answers = ask_all(commands, QUESTIONS)
    cpuinfo = commands.read("/proc/cpuinfo") or ""
    cpu, listed = parse_cpuinfo(cpuinfo), parse_lscpu(answers["lscpu"].text)
    names = firmware_names(commands)
    return [
        *_system(commands, answers["uname"]),
        *facts("firmware", {"model": _board(names.product)}, "it names no product"),
        *_processor(cpu, listed, answers["lscpu"].why),
        *_kinds(commands, cpuinfo, listed),
        *guest_facts(names, cpu.hypervisor, listed),
        *container_facts(commands),
        *_memory(commands, answers["drm"].text),
        *_modules(commands, answers["dmidecode"]),
        *condition_facts(commands, answers["drm"].text, answers["heat"].text, answers["supplies"]),
    ]


def _system(commands: Commands, uname: Answer) -> list[Fact]:
    release = parse_os_release(commands.read("/etc/os-release") or "")
    version = " ".join(filter(None, (release.get("ID"), release.get("VERSION_ID"))))
    kernel, _, architecture = uname.text.strip().partition(" ")
    values = {"kernel": kernel or None, "architecture": architecture or None}
    return [
        *facts("uname", {"os": "linux", **values}, uname.why),
        *facts("/etc/os-release", {"os_version": version or None}),
        *facts(
            "/etc/os-release",
            {"os_build": release.get("BUILD_ID") or None},
            "" if release else "it cannot be read",
            absent="this distribution numbers no builds",
        ),
    ]


def _board(name: str | None) -> str | None:
    return None if name is None or name.lower() in NO_BOARD_NAME else name


def _processor(cpu: CpuInfo, listed: Lscpu, why: str) -> list[Fact]:
    """Arm kernels name no chip, and guests of some hypervisors no cores."""
    outside = outside_of([cpu, listed], {"cpu_cores": "cores", "cpu_threads": "threads"})
    values = {"chip": cpu.model_name, "cpu_cores": cpu.cores, "cpu_threads": cpu.threads}
    more = {
        "chip": " + ".join(listed.model_names) or cpu.part,
        "cpu_cores": listed.cores,
        "cpu_threads": listed.threads,
    }
    first = facts("/proc/cpuinfo", values, outside=outside)
    return first + facts("lscpu", more, why, outside=outside)


def _kinds(commands: Commands, cpuinfo: str, listed: Lscpu) -> list[Fact]:
    """Physical cores of each kind, where the processor has two of Intel's.

    Arm chips of two kinds name both to lscpu, and how many there are of each to nobody.
    """
    places = parse_cores(cpuinfo)
    counts = {
        kind: len({places[cpu] for cpu in _cpus(commands, device) if cpu in places})
        for kind, device in KINDS_OF_CORE.items()
    }
    known = {kind: count for kind, count in counts.items() if count}
    values = {
        "cpu_performance_cores": known.get("Performance"),
        "cpu_efficiency_cores": known.get("Efficiency"),
        "cpu_core_kinds": " + ".join(f"{n} {kind}" for kind, n in known.items()) or None,
    }
    why = "" if places else "neither cores nor kinds of them are listed"
    if len(listed.model_names) > 1:
        why = f"how many are {' and how many '.join(listed.model_names)} is not told"
    absent = "no cores of this kind" if known else "all cores are of one kind"
    return facts("/sys/devices", values, "" if known else why, absent=absent)


def _cpus(commands: Commands, device: str) -> frozenset[int]:
    return parse_cpu_list(commands.read(f"/sys/devices/{device}/cpus") or "")


def _memory(commands: Commands, drm: str) -> list[Fact]:
    memory = parse_meminfo(commands.read("/proc/meminfo") or "")
    swap_kib = (
        memory.swap_total_kib - memory.swap_free_kib
        if memory.swap_total_kib is not None and memory.swap_free_kib is not None
        else None
    )
    shares_mb = [gpu.vram_mb for gpu in parse_drm(drm) if is_integrated(gpu)]
    installed_kib = _installed_kib(memory.total_kib, shares_mb)
    values = {
        "memory_total_mb": _mib(memory.total_kib),
        "memory_available_mb": _mib(memory.available_kib),
        "swap_used_mb": _mib(swap_kib),
    }
    source = "/proc/meminfo and the GPU's share" if shares_mb else "/proc/meminfo"
    lost = "how much of it the processor's GPU has is not known" if None in shares_mb else ""
    outside = outside_of([memory], FIELDS)
    return [
        *facts(source, {"memory_gb": machine_gb(installed_kib)}, lost, outside=outside),
        *facts("/proc/meminfo", values, outside=outside),
    ]


def _installed_kib(total_kib: int | None, shares_mb: Sequence[int | None]) -> int | None:
    """Add what the system has and what the processor's own GPU was given before it started."""
    known = [share for share in shares_mb if share is not None]
    if total_kib is None or len(known) < len(shares_mb):
        return None
    return total_kib + sum(known) * KIB_PER_MIB


def _modules(commands: Commands, dmidecode: Answer) -> list[Fact]:
    """Speed and kind need root, except where udev has kept them at boot."""
    modules = parse_udev_memory(commands.read(UDEV_DMI) or "")
    source = UDEV_DMI if modules else "dmidecode"
    modules = modules or parse_memory_devices(dmidecode.text)
    rate = peak_gb_s(modules)
    values = {
        "memory_type": _one({module.kind for module in modules}),
        "memory_speed_mt_s": _one({module.speed_mt_s for module in modules}),
        "memory_modules": _counted(modules),
        "memory_bandwidth_gb_s": None if rate is None else round(rate, 1),
    }
    outside = outside_of(modules, {"memory_speed_mt_s": "speed_mt_s", "memory_modules": "size_gib"})
    why = dmidecode.why or "the firmware does not say, as in guests"
    return facts(source, values, why, outside=outside)


def _counted(modules: Sequence[MemoryDevice]) -> str | None:
    if any(module.size_gib is None for module in modules):
        return None
    sizes = [f"{module.size_gib:g} GB" for module in modules]
    return " + ".join(f"{sizes.count(size)} x {size}" for size in dict.fromkeys(sizes)) or None


def _one(values: set[Some]) -> Some | None:
    return values.pop() if len(values) == 1 else None


def _mib(kib: int | None) -> int | None:
    return None if kib is None else kib // KIB_PER_MIB
