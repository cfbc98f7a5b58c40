"""Facts of Apple Silicon: kinds of core, GPU, wired limit, power mode and heat, without root."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.fingerprint.facts import facts
from fleet.fingerprint.gpu_limit import expected_gpu_limit_mb
from fleet.fingerprint.macos import ROSETTA_CHIP
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.ioreg import Accelerator, parse_accelerators
from fleet.readers.notifyutil import parse_thermal_class
from fleet.readers.pmset import parse_custom, parse_power_source, power_mode
from fleet.readers.sysctl import parse_sysctl, perf_levels
from fleet.readers.system_profiler import parse_system_profiler
from fleet.readers.text import whole
from fleet.units import GIB

KEYS = ("hw", "machdep.cpu.brand_string", "kern.osproductversion", "iogpu")
ACCELERATORS = ("ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
THERMAL = ("notifyutil", "-g", "com.apple.system.thermalpressurelevel")
DISPLAYS = ("system_profiler", "-json", "SPDisplaysDataType")
PROFILER_DEADLINE_S = 30.0
POWER_SOURCES = {"AC Power": "mains", "Battery Power": "battery", "UPS Power": "battery"}


class AppleProbe:
    name = "apple"

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def available(self) -> bool:
        if self._run("uname", "-s").strip() != "Darwin":
            return False
        chip = self._run("sysctl", "-n", "machdep.cpu.brand_string").strip()
        return chip.startswith(("Apple", ROSETTA_CHIP))

    def collect(self) -> Sequence[Fact]:
        values = parse_sysctl(self._run("sysctl", *KEYS))
        return [
            *facts("sysctl hw.perflevel", _cores(values)),
            *self._gpu(values),
            *_limits(values),
            *self._power(),
            *facts("notifyutil", {"thermal_class": parse_thermal_class(self._run(*THERMAL))}),
        ]

    def _gpu(self, values: Mapping[str, str]) -> list[Fact]:
        """`ioreg` names GPU and cores in milliseconds; a guest has no core count anywhere."""
        found = parse_accelerators(self._run(*ACCELERATORS))
        gpu = next((one for one in found if one.gpu_cores), found[0] if found else None)
        if (gpu is None or not gpu.gpu_cores) and not _is_guest(values):
            return self._profiled_gpu()
        return _gpu_facts("ioreg", gpu or Accelerator(model=None, gpu_cores=None))

    def _profiled_gpu(self) -> list[Fact]:
        text = self._commands.run(DISPLAYS, deadline_s=PROFILER_DEADLINE_S).stdout
        profile = parse_system_profiler(text)
        gpu = Accelerator(model=profile.gpu, gpu_cores=profile.gpu_cores)
        return _gpu_facts("system_profiler", gpu)

    def _power(self) -> list[Fact]:
        source = parse_power_source(self._run("pmset", "-g", "batt"))
        mode = power_mode(parse_custom(self._run("pmset", "-g", "custom")), source)
        values = {"power_source": POWER_SOURCES.get(source or ""), "power_mode": mode}
        return facts("pmset", values)

    def _run(self, *argv: str) -> str:
        """Standard output, also of a failed run: sysctl prints all keys but the unknown one."""
        return self._commands.run(argv).stdout


def _gpu_facts(source: str, gpu: Accelerator) -> list[Fact]:
    # Under Rosetta the system hides the chip's name; the GPU is named after the chip.
    values = {"gpu": gpu.model, "gpu_cores": gpu.gpu_cores, "chip": gpu.model}
    return facts(source, {**values, "gpu_count": 1 if gpu.model else None})


def _is_guest(values: Mapping[str, str]) -> bool:
    return values.get("hw.model", "").startswith("VirtualMac")


def _cores(values: Mapping[str, str]) -> dict[str, str | int | None]:
    """Cores by the names of their kinds: on some chips level 1 is `Performance`."""
    levels = perf_levels(values)
    named = {
        f"cpu_{level.name.lower()}_cores": level.physical_cores for level in levels if level.name
    }
    known = [str(level.physical_cores) for level in levels if level.physical_cores is not None]
    return {
        "cpu_performance_cores": None,
        "cpu_efficiency_cores": None,
        **named,
        "cpu_core_levels": "+".join(known) or None,
    }


def _limits(values: Mapping[str, str]) -> list[Fact]:
    """The effective limit equals a setting above 0; the default for 0 is not told here."""
    setting_mb = whole(values.get("iogpu.wired_limit_mb"))
    size_bytes = whole(values.get("hw.memsize"))
    expected_mb = expected_gpu_limit_mb(
        round(size_bytes / GIB) if size_bytes else None, values.get("kern.osproductversion")
    )
    return [
        *facts("sysctl iogpu", {"wired_limit_mb": setting_mb, "gpu_limit_mb": setting_mb or None}),
        *facts("expected default", {"gpu_limit_expected_mb": expected_mb}),
    ]
