"""Facts that every Mac gives, Intel and Apple Silicon alike; all without root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.fingerprint.facts import ask_all, facts
from fleet.model.machine import Fact
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
ROSETTA_CHIP = "VirtualApple"
"""What Rosetta tells a translated program in place of the chip's name."""


def macos_facts(commands: Commands) -> list[Fact]:
    answers = ask_all(commands, QUESTIONS)
    told = answers["sysctl"]
    values = parse_sysctl(told.text)
    guest = values.get("hw.model", "").startswith("VirtualMac")
    return [
        *_system(values, answers["uname"].text, answers["sw_vers"].text),
        *facts("sysctl hw", _hardware(values), told.why),
        *facts("sysctl kern", _condition(values), told.why),
        *facts("vm_stat", _available(answers["vm_stat"].text), answers["vm_stat"].why),
        *facts("macOS", {"cpu_temperature_c": None}, "without root it tells a class of heat only"),
        *facts("hw.model", {"hypervisor": "apple" if guest else None}, "not a guest"),
        *facts("macOS", {"container": False}),
        # Only system_profiler knows, which takes seconds.
        *facts("macOS", {"display_attached": None}, "nothing quick enough tells"),
    ]


def _system(values: Mapping[str, str], machine: str, sw_vers: str) -> list[Fact]:
    version, build = values.get("kern.osproductversion"), values.get("kern.osversion")
    if not version or not build:
        told = parse_sw_vers(sw_vers)
        version, build = told.get("ProductVersion"), told.get("BuildVersion")
    rosetta = values.get("sysctl.proc_translated") == "1"
    found = {
        "os": "darwin",
        "os_version": version,
        "os_build": build,
        "kernel": values.get("kern.osrelease"),
        "architecture": "arm64" if rosetta else machine.strip() or None,
        "rosetta": rosetta,
    }
    return facts("sysctl kern", found)


def _hardware(values: Mapping[str, str]) -> dict[str, str | int | bool | None]:
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
        "virtual": _is_guest(chip, model, values.get("kern.hv_vmm_present")),
    }


def _is_guest(chip: str | None, model: str | None, present: str | None) -> bool | None:
    if "(Virtual)" in (chip or "") or (model or "").startswith("VirtualMac"):
        return True
    return {"0": False, "1": True}.get(present or "", None if model is None else False)


def _condition(values: Mapping[str, str]) -> dict[str, str | int | float | None]:
    return {
        "memory_pressure": PRESSURE.get(values.get("kern.memorystatus_vm_pressure_level", "")),
        "swap_used_mb": parse_swap_used_mb(values.get("vm.swapusage", "")),
        "load_1m": parse_load_1m(values.get("vm.loadavg", "")),
        "boot_unix_s": parse_boot_unix_s(values.get("kern.boottime", "")),
    }


def _available(vm_stat: str) -> dict[str, int | None]:
    sizes = [parse_vm_stat(vm_stat).get(name) for name in AVAILABLE]
    known = [size for size in sizes if size is not None]
    return {"memory_available_mb": sum(known) // MIB if len(known) == len(AVAILABLE) else None}
