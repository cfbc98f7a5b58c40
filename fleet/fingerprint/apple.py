"""Facts of Apple Silicon: kinds of core, GPU, wired limit, power mode and heat, without root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.fingerprint.facts import Answer, ask, ask_all, facts
from fleet.fingerprint.gpu_limit import expected_gpu_limit_mb
from fleet.fingerprint.macos import ROSETTA_CHIP
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.ioreg import Accelerator, parse_accelerators
from fleet.readers.notifyutil import parse_thermal_class
from fleet.readers.pmset import (
    coarse_class,
    parse_custom,
    parse_power_source,
    parse_therm,
    power_mode,
)
from fleet.readers.sysctl import parse_sysctl, perf_levels
from fleet.readers.system_profiler import parse_system_profiler
from fleet.readers.text import whole
from fleet.units import GIB

KEYS = ("hw", "machdep.cpu.brand_string", "kern.osproductversion", "iogpu")
ACCELERATORS = ("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
THERMAL = ("notifyutil", "-g", "com.apple.system.thermalpressurelevel")
DISPLAYS = ("system_profiler", "-json", "SPDisplaysDataType")
PROFILER_DEADLINE_S = 30.0
QUESTIONS: Mapping[str, Sequence[str]] = {
    "sysctl": ("sysctl", *KEYS),
    "gpu": ACCELERATORS,
    "source": ("pmset", "-g", "batt"),
    "mode": ("pmset", "-g", "custom"),
    "heat": THERMAL,
    "coarse heat": ("pmset", "-g", "therm"),
}
POWER_SOURCES = {"AC Power": "mains", "Battery Power": "battery", "UPS Power": "battery"}


class AppleProbe:
    name = "apple"
    tells = frozenset(
        {
            *("gpu", "gpu_count", "gpu_cores", "cpu_core_kinds", "wired_limit_mb"),
            *("power_source", "power_mode", "low_power_mode", "thermal_class"),
        }
    )

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._profiled: Answer | None = None

    def available(self) -> bool:
        if ask(self._commands, "uname", "-s").text.strip() != "Darwin":
            return False
        chip = ask(self._commands, "sysctl", "-n", "machdep.cpu.brand_string").text.strip()
        return chip.startswith(("Apple", ROSETTA_CHIP))

    def collect(self) -> Sequence[Fact]:
        answers = ask_all(self._commands, QUESTIONS)
        told = answers["sysctl"]
        values = parse_sysctl(told.text)
        return [
            *facts("sysctl hw.perflevel", _cores(values), told.why),
            *self._gpu(values, answers["gpu"]),
            *_limits(values),
            *_power(answers["source"], answers["mode"]),
            *_heat(answers["heat"], answers["coarse heat"]),
        ]

    def _gpu(self, values: Mapping[str, str], told: Answer) -> list[Fact]:
        """`ioreg` names GPU and cores in milliseconds; a guest has no core count anywhere."""
        found = parse_accelerators(told.text)
        gpu = next((one for one in found if one.gpu_cores), found[0] if found else None)
        if (gpu is None or not gpu.gpu_cores) and not _is_guest(values):
            return self._profiled_gpu()
        return _gpu_facts("ioreg", gpu or Accelerator(model=None, gpu_cores=None), told.why)

    def _profiled_gpu(self) -> list[Fact]:
        """Takes seconds, so once only, at the first look; trials are looked at again and again."""
        if self._profiled is None:
            self._profiled = ask(self._commands, *DISPLAYS, deadline_s=PROFILER_DEADLINE_S)
        profile = parse_system_profiler(self._profiled.text)
        gpu = Accelerator(model=profile.gpu, gpu_cores=profile.gpu_cores)
        return _gpu_facts("system_profiler", gpu, self._profiled.why)


def _power(source_told: Answer, mode_told: Answer) -> list[Fact]:
    source = parse_power_source(source_told.text)
    settings = parse_custom(mode_told.text)
    mode = power_mode(settings, source)
    told = {"power_mode": mode, "low_power_mode": None if mode is None else mode == "low"}
    any_mode = {"power_modes_present": mode is not None if settings else None}
    return [
        *facts("pmset", {"power_source": POWER_SOURCES.get(source or "")}, source_told.why),
        *facts("pmset", told, mode_told.why or "this Mac has no power modes"),
        *facts("pmset", any_mode, mode_told.why),
    ]


def _heat(told: Answer, coarse: Answer) -> list[Fact]:
    fine, rough = parse_thermal_class(told.text), coarse_class(parse_therm(coarse.text))
    if fine is None and rough is not None:
        return facts("pmset -g therm, which is coarse", {"thermal_class": rough})
    return facts("notifyutil", {"thermal_class": fine}, told.why)


def _gpu_facts(source: str, gpu: Accelerator, why: str) -> list[Fact]:
    # Under Rosetta the system hides the chip's name; the GPU is named after the chip.
    values = {"gpu": gpu.model, "gpu_cores": gpu.gpu_cores, "chip": gpu.model}
    busy = gpu.statistics.get("Device Utilization %")
    return [
        *facts(source, {**values, "gpu_count": 1 if gpu.model else None}, why),
        *facts(f"{source}, the engine at rest", {"foreign_gpu_percent": busy}, why),
    ]


def _is_guest(values: Mapping[str, str]) -> bool:
    return values.get("hw.model", "").startswith("VirtualMac")


def _cores(values: Mapping[str, str]) -> dict[str, str | int | None]:
    """Cores by the names of their kinds: on some chips level 1 is `Performance`."""
    levels = [level for level in perf_levels(values) if level.physical_cores is not None]
    counts = {level.name: level.physical_cores for level in levels if level.name}
    kinds = [f"{level.physical_cores} {level.name or 'unnamed'}" for level in levels]
    return {
        "cpu_super_cores": counts.get("Super"),
        "cpu_performance_cores": counts.get("Performance"),
        "cpu_efficiency_cores": counts.get("Efficiency"),
        "cpu_core_kinds": " + ".join(kinds) or None,
    }


def _limits(values: Mapping[str, str]) -> list[Fact]:
    """The effective limit equals a setting above 0; the default behind a 0 only Metal knows."""
    setting_mb = whole(values.get("iogpu.wired_limit_mb"))
    size_bytes = whole(values.get("hw.memsize"))
    expected_mb = expected_gpu_limit_mb(
        round(size_bytes / GIB) if size_bytes else None, values.get("kern.osproductversion")
    )
    return [
        *facts("sysctl iogpu", {"wired_limit_mb": setting_mb}),
        *facts("sysctl iogpu", {"gpu_limit_mb": setting_mb or None}, "0 stands for a default"),
        *facts("expected default", {"gpu_limit_expected_mb": expected_mb}),
    ]
