"""Facts of Apple Silicon: kinds of core, GPU, wired limit, power mode and heat, without root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.fingerprint.facts import (
    NOT_TOLD,
    Answer,
    ask,
    ask_all,
    facts,
    not_understood,
    outside_of,
)
from fleet.fingerprint.macos import ROSETTA_CHIP
from fleet.model.mac_gpu_limit import expected_gpu_limit_mb
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.ioreg import Accelerator, parse_accelerators
from fleet.readers.notifyutil import parse_thermal_class
from fleet.readers.pmset import (
    coarse_class,
    has_power_modes,
    mode_not_understood,
    parse_custom,
    parse_power_source,
    parse_therm,
    power_mode,
)
from fleet.readers.sysctl import parse_sysctl, perf_levels
from fleet.readers.system_profiler import parse_system_profiler
from fleet.readers.text import whole
from fleet.units import GIB, MIB

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
SETTING = "iogpu.wired_limit_mb"
BUSY = "Device Utilization %"
IN_USE = "In use system memory"
"""Bytes that all programs together have given the GPU; which of them, no user but root is told."""
POWER_SOURCES = {"AC Power": "mains", "Battery Power": "battery", "UPS Power": "battery"}


class AppleProbe:
    name = "apple"
    tells = frozenset(
        {
            *("gpu", "gpu_count", "gpu_cores", "cpu_core_kinds", "wired_limit_mb"),
            *("power_source", "power_mode", "low_power_mode", "thermal_class"),
            *("foreign_gpu_percent", "gpu_memory_in_use_mb", "foreign_gpu_memory_mb"),
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
        sysctl = answers["sysctl"]
        values = parse_sysctl(sysctl.text)
        return [
            *_cores(values, sysctl.why),
            *self._gpu(values, answers["gpu"]),
            *_limits(values, sysctl.why),
            *_power(answers["source"], answers["mode"]),
            *_heat(answers["heat"], answers["coarse heat"]),
        ]

    def _gpu(self, values: Mapping[str, str], answer: Answer) -> list[Fact]:
        """`ioreg` names GPU and cores in milliseconds; a guest has no core count anywhere."""
        gpus = parse_accelerators(answer.text)
        gpu = next((each for each in gpus if each.gpu_cores), gpus[0] if gpus else None)
        if (gpu is None or not gpu.gpu_cores) and not _is_guest(values):
            return self._profiled_gpu()
        return _gpu_facts("ioreg", gpu or Accelerator(model=None, gpu_cores=None), answer.why)

    def _profiled_gpu(self) -> list[Fact]:
        """Ask system_profiler at the first look alone, since it takes seconds."""
        if self._profiled is None:
            self._profiled = ask(self._commands, *DISPLAYS, deadline_s=PROFILER_DEADLINE_S)
        profile = parse_system_profiler(self._profiled.text)
        reasons = {"gpu_cores": why} if (why := profile.outside.get("gpu_cores")) else {}
        gpu = Accelerator(model=profile.gpu, gpu_cores=profile.gpu_cores, outside=reasons)
        return _gpu_facts("system_profiler", gpu, self._profiled.why)


def _power(source_answer: Answer, mode_answer: Answer) -> list[Fact]:
    source = parse_power_source(source_answer.text)
    settings = parse_custom(mode_answer.text)
    mode, any_mode = power_mode(settings, source), has_power_modes(settings)
    modes = {"power_mode": mode, "low_power_mode": None if mode is None else mode == "low"}
    why = mode_answer.why or ("" if any_mode is False else mode_not_understood(settings, source))
    kind = {"power_source": POWER_SOURCES.get(source or "")}
    return [
        *facts("pmset", kind, source_answer.why or not_understood(source or source_answer.text)),
        *facts("pmset", modes, why, absent="this Mac has no power modes"),
        *facts(
            "pmset",
            {"power_modes_present": any_mode},
            mode_answer.why or not_understood(mode_answer.text),
        ),
    ]


def _heat(answer: Answer, coarse: Answer) -> list[Fact]:
    fine, rough = parse_thermal_class(answer.text), coarse_class(parse_therm(coarse.text))
    if fine is None and rough is not None:
        return facts("pmset -g therm, which is coarse", {"thermal_class": rough})
    return facts("notifyutil", {"thermal_class": fine}, answer.why or not_understood(answer.text))


def _gpu_facts(source: str, gpu: Accelerator, why: str) -> list[Fact]:
    # Under Rosetta the system hides the chip's name; the GPU is named after the chip.
    values = {"gpu": gpu.model, "gpu_cores": gpu.gpu_cores, "chip": gpu.model}
    busy, in_use = (gpu.statistics.get(key) for key in (BUSY, IN_USE))
    fields = {
        "gpu_cores": "gpu_cores",
        "foreign_gpu_percent": BUSY,
        "gpu_memory_in_use_mb": IN_USE,
    }
    outside = outside_of([gpu], fields)
    return [
        *facts(source, {**values, "gpu_count": 1 if gpu.model else None}, why, outside=outside),
        *facts(
            f"{source}, the engine at rest", {"foreign_gpu_percent": busy}, why, outside=outside
        ),
        *facts(
            f"{source}, {IN_USE}",
            {"gpu_memory_in_use_mb": None if in_use is None else in_use // MIB},
            why,
            outside=outside,
        ),
        *facts(
            "macOS",
            dict.fromkeys(("foreign_gpu_memory_mb", "foreign_gpu_programs")),
            "which program holds how much, it tells nobody but root",
        ),
    ]


def _is_guest(values: Mapping[str, str]) -> bool:
    return values.get("hw.model", "").startswith("VirtualMac")


def _cores(values: Mapping[str, str], why: str) -> list[Fact]:
    """Cores by the names of their kinds: on some chips level 1 is `Performance`."""
    levels = perf_levels(values)
    known = [level for level in levels if level.physical_cores is not None]
    counts = {level.name: level.physical_cores for level in known if level.name}
    complete = known != [] and len(known) == len(levels)
    kinds = " + ".join(f"{level.physical_cores} {level.name or 'unnamed'}" for level in known)
    lost = next((reason for level in levels for reason in level.outside.values()), "")
    by_kind = {
        "cpu_super_cores": counts.get("Super"),
        "cpu_performance_cores": counts.get("Performance"),
        "cpu_efficiency_cores": counts.get("Efficiency"),
    }
    named = complete and all(level.name for level in known)
    source = "sysctl hw.perflevel"
    return [
        *facts(
            source, by_kind, lost or ("" if named else why or NOT_TOLD), absent=f"it has {kinds}"
        ),
        *facts(source, {"cpu_core_kinds": kinds if complete else None}, lost or why),
    ]


def _limits(values: Mapping[str, str], why: str) -> list[Fact]:
    """Return the limit that is set, which is in force where Ollama reports no other.

    Only Metal knows the default behind a 0.
    """
    printed = values.get(SETTING)
    setting_mb = whole(printed)
    size_bytes = whole(values.get("hw.memsize"))
    expected_mb = expected_gpu_limit_mb(
        round(size_bytes / GIB) if size_bytes else None, values.get("kern.osproductversion")
    )
    unknown = not_understood(printed) if printed else why or f"it has no {SETTING}"
    return [
        *facts("sysctl iogpu", {"wired_limit_mb": setting_mb}, unknown),
        *facts(
            "sysctl iogpu, as set",
            {"gpu_limit_mb": setting_mb or None},
            "0 stands for a default, which only Metal knows" if setting_mb == 0 else unknown,
        ),
        *facts(
            "expected default",
            {"gpu_limit_expected_mb": expected_mb},
            "none is known of such a Mac",
        ),
    ]
