"""Facts that every Mac gives, Intel and Apple Silicon alike; all without root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fleet.fingerprint.facts import ask_all, facts, not_understood
from fleet.model.machine import Fact, FactValue
from fleet.ports import Commands
from fleet.readers.sw_vers import parse_sw_vers
from fleet.readers.sysctl import (
    parse_boot_unix_s,
    parse_load_1m,
    parse_swap_used_mb,
    parse_sysctl,
)
from fleet.readers.text import one_space, whole
from fleet.readers.vm_stat import parse_vm_stat
from fleet.units import GIB, MIB

KEYS = (
    "hw.memsize",
    "hw.model",
    "hw.physicalcpu",
    "hw.logicalcpu",
    "machdep.cpu.brand_string",
    "kern.osproductversion",
    "kern.osversion",
    "kern.osrelease",
    "kern.boottime",
    "kern.hv_vmm_present",
    "kern.memorystatus_vm_pressure_level",
    "vm.swapusage",
    "vm.loadavg",
    "sysctl.proc_translated",
)
AVAILABLE = ("Pages free", "Pages speculative", "Pages inactive")
"""What programs can have without another giving any up."""
PRESSURE = {"1": "normal", "2": "warning", "4": "critical"}
QUESTIONS: Mapping[str, Sequence[str]] = {
    "sysctl": ("sysctl", *KEYS),
    "uname": ("uname", "-m"),
    "sw_vers": ("sw_vers",),
    "vm_stat": ("vm_stat",),
}
GUESTS = {"VirtualMac": "apple", "VMware": "vmware", "Parallels": "parallels"}
"""How the models of guests begin."""
ROSETTA_CHIP = "VirtualApple"
"""What Rosetta tells a translated program in place of the chip's name."""


def macos_facts(commands: Commands) -> list[Fact]:
    answers = ask_all(commands, QUESTIONS)
    sysctl = answers["sysctl"]
    values = parse_sysctl(sysctl.text)
    return [
        *_system(values, answers["uname"].text, answers["sw_vers"].text, sysctl.why),
        *facts("sysctl hw", _hardware(values), sysctl.why),
        *_guest(values, sysctl.why),
        *_condition(values, sysctl.why),
        *facts("vm_stat", _available(answers["vm_stat"].text), answers["vm_stat"].why),
        *facts("macOS", {"cpu_temperature_c": None}, "without root it tells a class of heat only"),
        *facts("macOS", {"container": False}),
        # Only system_profiler knows, which takes seconds.
        *facts("macOS", {"display_attached": None}, "nothing quick enough tells"),
    ]


def _system(values: Mapping[str, str], machine: str, sw_vers: str, why: str) -> list[Fact]:
    version, build = values.get("kern.osproductversion"), values.get("kern.osversion")
    if not version or not build:
        versions = parse_sw_vers(sw_vers)
        version, build = versions.get("ProductVersion"), versions.get("BuildVersion")
    # A Mac that cannot translate has no such key; one whose keys cannot be read tells nothing.
    rosetta = values.get("sysctl.proc_translated") == "1" if values else None
    system = {
        "os": "darwin",
        "os_version": version,
        "os_build": build,
        "kernel": values.get("kern.osrelease"),
        "architecture": "arm64" if rosetta else machine.strip() or None,
        "rosetta": rosetta,
    }
    return facts("sysctl kern", system, why)


def _hardware(values: Mapping[str, str]) -> dict[str, str | int | None]:
    chip = one_space(values.get("machdep.cpu.brand_string"))
    model = values.get("hw.model")
    size_bytes = whole(values.get("hw.memsize"))
    return {
        "chip": None if chip and chip.startswith(ROSETTA_CHIP) else chip,
        "model": model,
        "cpu_cores": whole(values.get("hw.physicalcpu")),
        "cpu_threads": whole(values.get("hw.logicalcpu")),
        "memory_gb": round(size_bytes / GIB) if size_bytes else None,
        "memory_total_mb": size_bytes // MIB if size_bytes else None,
    }


def _guest(values: Mapping[str, str], why: str) -> list[Fact]:
    chip, model = values.get("machdep.cpu.brand_string", ""), values.get("hw.model", "")
    guest = _is_guest(chip, model, values.get("kern.hv_vmm_present"))
    maker = next((name for sign, name in GUESTS.items() if model.startswith(sign)), None)
    unnamed = why or "neither chip nor model say whose guest it is"
    return [
        *facts("sysctl hw", {"virtual": guest}, why or "neither chip nor system tell"),
        *facts(
            "hw.model",
            {"hypervisor": maker if guest else None},
            "" if guest is False else unnamed,
            absent="not a guest",
        ),
    ]


def _is_guest(chip: str, model: str, present: str | None) -> bool | None:
    """Apple's own chips say in their name that they are lent to a guest."""
    if "(Virtual)" in chip or model.startswith("VirtualMac"):
        return True
    return {"0": False, "1": True}.get(present or "", False if chip.startswith("Apple ") else None)


def _condition(values: Mapping[str, str], why: str) -> list[Fact]:
    """Each with its own reason: one key that is not understood says nothing of the others."""
    keys: dict[str, tuple[str, Callable[[str], FactValue]]] = {
        "memory_pressure": ("kern.memorystatus_vm_pressure_level", PRESSURE.get),
        "swap_used_mb": ("vm.swapusage", parse_swap_used_mb),
        "load_1m": ("vm.loadavg", parse_load_1m),
        "boot_unix_s": ("kern.boottime", parse_boot_unix_s),
    }
    return [
        fact
        for name, (key, read) in keys.items()
        for fact in facts(
            "sysctl kern",
            {name: read(values.get(key, ""))},
            not_understood(values.get(key)) or why or f"it has no {key}",
        )
    ]


def _available(vm_stat: str) -> dict[str, int | None]:
    sizes = [parse_vm_stat(vm_stat).get(name) for name in AVAILABLE]
    known = [size for size in sizes if size is not None]
    return {"memory_available_mb": sum(known) // MIB if len(known) == len(AVAILABLE) else None}
