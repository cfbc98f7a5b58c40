"""Facts of a Linux machine, from files of the kernel and two quick commands; all without root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from fleet.fingerprint.drm import DRM, INTEGRATED
from fleet.fingerprint.facts import Answer, ask_all, facts
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
from fleet.readers.text import one_space

Some = TypeVar("Some")

DEVICE_TREE_MODEL = "/proc/device-tree/model"
NO_BOARD_NAME = frozenset(
    {"system product name", "to be filled by o.e.m.", "default string", "not applicable", "none"}
)
KINDS_OF_CORE = {"Performance": "cpu_core", "Efficiency": "cpu_atom"}
"""Intel's two kinds, by the names of their counters."""
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
        *facts(
            "firmware",
            {"model": _board(names.product, commands.read(DEVICE_TREE_MODEL))},
            "it names no product",
        ),
        *_processor(cpu, listed),
        *_kinds(commands, cpuinfo),
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
    told = {"kernel": kernel or None, "architecture": architecture or None}
    return [
        *facts("uname", {"os": "linux", **told}, uname.why),
        *facts("/etc/os-release", {"os_version": version or None}),
        *facts(
            "/etc/os-release",
            {"os_build": release.get("BUILD_ID") or None},
            "this distribution numbers no builds",
        ),
    ]


def _board(*names: str | None) -> str | None:
    told = (one_space(name) for name in names)
    return next((name for name in told if name and name.lower() not in NO_BOARD_NAME), None)


def _processor(cpu: CpuInfo, listed: Lscpu) -> list[Fact]:
    """Arm kernels name no chip, and guests of some hypervisors no cores."""
    values = {"chip": cpu.model_name, "cpu_cores": cpu.cores, "cpu_threads": cpu.threads}
    more = {
        "chip": " + ".join(listed.model_names) or cpu.part,
        "cpu_cores": listed.cores,
        "cpu_threads": listed.threads,
    }
    return facts("/proc/cpuinfo", values) + facts("lscpu", more)


def _kinds(commands: Commands, cpuinfo: str) -> list[Fact]:
    """Physical cores of each kind, where the processor has two."""
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
    return facts("/sys/devices", values, "all cores are of one kind")


def _cpus(commands: Commands, device: str) -> frozenset[int]:
    return parse_cpu_list(commands.read(f"/sys/devices/{device}/cpus") or "")


def _memory(commands: Commands, drm: str) -> list[Fact]:
    memory = parse_meminfo(commands.read("/proc/meminfo") or "")
    swap_kib = (
        memory.swap_total_kib - memory.swap_free_kib
        if memory.swap_total_kib is not None and memory.swap_free_kib is not None
        else None
    )
    carved_mb = sum(gpu.vram_mb or 0 for gpu in parse_drm(drm) if _integrated(gpu.device))
    installed_kib = None if memory.total_kib is None else memory.total_kib + carved_mb * KIB_PER_MIB
    values = {
        "memory_gb": machine_gb(installed_kib),
        "memory_total_mb": _mib(memory.total_kib),
        "memory_available_mb": _mib(memory.available_kib),
        "swap_used_mb": _mib(swap_kib),
    }
    source = "/proc/meminfo and the GPU's share" if carved_mb else "/proc/meminfo"
    return facts(source, values)


def _integrated(device: str | None) -> bool:
    return (device or "").split(" ")[0] in INTEGRATED


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
    return facts(source, values, dmidecode.why or "the firmware does not say, as in guests")


def _counted(modules: Sequence[MemoryDevice]) -> str | None:
    sizes = [f"{module.size_gib:g} GB" for module in modules]
    return " + ".join(f"{sizes.count(size)} x {size}" for size in dict.fromkeys(sizes)) or None


def _one(values: set[Some]) -> Some | None:
    return values.pop() if len(values) == 1 else None


def _mib(kib: int | None) -> int | None:
    return None if kib is None else kib // KIB_PER_MIB
