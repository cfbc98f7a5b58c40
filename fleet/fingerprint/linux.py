"""Facts of a Linux machine, from files of the kernel; `lscpu` only where they name no chip."""

from __future__ import annotations

from fleet.fingerprint.facts import facts
from fleet.fingerprint.sizes import machine_gb
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.lscpu import Lscpu, parse_lscpu
from fleet.readers.proc import (
    parse_boot_unix_s,
    parse_cpu_limit,
    parse_cpuinfo,
    parse_load_1m,
    parse_meminfo,
    parse_memory_limit_bytes,
    parse_os_release,
    parse_uptime_s,
)
from fleet.readers.text import one_space
from fleet.units import MIB

MEMORY_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
MAINS = tuple(f"/sys/class/power_supply/{name}/online" for name in ("AC", "AC0", "ACAD", "ADP1"))
CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
BOARD_NAMES = ("/sys/class/dmi/id/product_name", "/proc/device-tree/model")
NO_BOARD_NAME = frozenset(
    {"system product name", "to be filled by o.e.m.", "default string", "not applicable", "none"}
)


def linux_facts(commands: Commands) -> list[Fact]:
    return [
        *_system(commands),
        *_processor(commands),
        *_memory(commands),
        *_power(commands),
        *_load(commands),
    ]


def _system(commands: Commands) -> list[Fact]:
    release = parse_os_release(commands.read("/etc/os-release") or "")
    version = " ".join(filter(None, (release.get("ID"), release.get("VERSION_ID"))))
    kernel, _, architecture = commands.run(["uname", "-rm"]).stdout.strip().partition(" ")
    return [
        *facts("uname", {"os": "linux", "kernel": kernel or None}),
        *facts("uname", {"architecture": architecture or None}),
        *facts(
            "/etc/os-release",
            {"os_version": version or None, "os_build": release.get("BUILD_ID") or None},
        ),
        *facts("board", {"model": _board(commands)}),
    ]


def _board(commands: Commands) -> str | None:
    names = (one_space(commands.read(path)) for path in BOARD_NAMES)
    return next((name for name in names if name and name.lower() not in NO_BOARD_NAME), None)


def _processor(commands: Commands) -> list[Fact]:
    governor = facts(GOVERNOR, {"cpu_governor": one_space(commands.read(GOVERNOR))})
    cpu = parse_cpuinfo(commands.read("/proc/cpuinfo") or "")
    values = {
        "chip": cpu.model_name,
        "cpu_cores": cpu.cores,
        "cpu_threads": cpu.threads,
        "virtual": cpu.hypervisor,
    }
    if None not in values.values():
        return facts("/proc/cpuinfo", values) + governor
    listed = parse_lscpu(commands.run(["lscpu", "-J"]).stdout)
    more = {
        "chip": " + ".join(listed.model_names) or cpu.part,
        "cpu_cores": listed.cores,
        "virtual": _is_guest(listed),
    }
    return facts("/proc/cpuinfo", values) + facts("lscpu", more) + governor


def _is_guest(listed: Lscpu) -> bool | None:
    return None if listed.architecture is None else listed.hypervisor is not None


def _memory(commands: Commands) -> list[Fact]:
    memory = parse_meminfo(commands.read("/proc/meminfo") or "")
    swap_kib = (
        memory.swap_total_kib - memory.swap_free_kib
        if memory.swap_total_kib is not None and memory.swap_free_kib is not None
        else None
    )
    values = {
        "memory_gb": machine_gb(memory.total_kib),
        "memory_total_mb": _mib(memory.total_kib),
        "memory_available_mb": _mib(memory.available_kib),
        "swap_used_mb": _mib(swap_kib),
    }
    limits = (parse_memory_limit_bytes(commands.read(path) or "") for path in MEMORY_LIMITS)
    limit_bytes = next(filter(None, limits), None)
    container = any(commands.read(path) is not None for path in CONTAINER_MARKS)
    bounds = {
        "container": container,
        "container_memory_limit_mb": limit_bytes // MIB if limit_bytes else None,
        "container_cpu_limit": parse_cpu_limit(commands.read("/sys/fs/cgroup/cpu.max") or ""),
    }
    return facts("/proc/meminfo", values) + facts("cgroup", bounds)


def _mib(kib: int | None) -> int | None:
    return None if kib is None else kib // 1024


def _power(commands: Commands) -> list[Fact]:
    """A desktop has no such file: None."""
    states = (one_space(commands.read(path)) for path in MAINS)
    state = next(filter(None, states), "")
    source = {"1": "mains", "0": "battery"}.get(state)
    return facts("/sys/class/power_supply", {"power_source": source})


def _load(commands: Commands) -> list[Fact]:
    return [
        *facts("/proc/loadavg", {"load_1m": parse_load_1m(commands.read("/proc/loadavg") or "")}),
        *facts("/proc/uptime", {"uptime_s": parse_uptime_s(commands.read("/proc/uptime") or "")}),
        *facts("/proc/stat", {"boot_unix_s": parse_boot_unix_s(commands.read("/proc/stat") or "")}),
    ]
