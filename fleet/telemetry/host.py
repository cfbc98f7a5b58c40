"""The host: load, memory, heat and clock of the processor; its package's energy where readable."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from fleet.model.quantities import CELSIUS, MHZ
from fleet.ports import Commands, Sample
from fleet.readers.load import Look, parse_proc
from fleet.readers.proc import parse_meminfo
from fleet.readers.sensors import CPU_SENSORS, CPU_ZONES
from fleet.readers.sysctl import parse_swap_used_mb, parse_sysctl
from fleet.readers.text import whole

MOST_CLOCKS = 8
"""Asking a core for its clock interrupts it."""
KIB_PER_MIB = 1024
AVAILABLE = "available_kib"
MAC_COMMAND_EVERY = 10
"""A process for each reading would cost more than all the rest."""


class LinuxHost:
    """Below `root`, for tests."""

    name = "host"
    pace: Literal["power", "state", "stream"] = "state"

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc, self._sys = root / "proc", root / "sys"
        self._before: Look | None = None
        self._sensors: list[Path] | None = None
        self._clocks: list[Path] = []

    def available(self) -> bool:
        return (self._proc / "stat").exists()

    def read(self) -> Sequence[Sample]:
        if self._sensors is None:
            self._sensors, self._clocks = self._temperatures(), self._frequencies()
        return [*self._busy(), *self._memory(), *self._heat(self._sensors), *self._clock()]

    def close(self) -> None:
        self._before = None

    def _busy(self) -> Iterable[Sample]:
        """Since the reading before; nothing at the first."""
        before = self._before
        of_all_cores = (self._proc / "stat").read_text().partition("\n")[0]
        self._before = now = parse_proc(of_all_cores)
        if now is None:
            yield Sample(metric="cpu_busy_percent", value=None, source="/proc/stat: no line cpu")
        elif before is not None and now.total > before.total:
            share = (now.busy - before.busy) / (now.total - before.total)
            percent = 100 * min(max(share, 0.0), 1.0)
            yield Sample(metric="cpu_busy_percent", value=percent, source="/proc/stat")

    def _memory(self) -> Iterable[Sample]:
        found = parse_meminfo((self._proc / "meminfo").read_text())
        for metric, field in (
            ("memory_available_mb", AVAILABLE),
            ("swap_used_mb", "swap_free_kib"),
        ):
            if why := found.outside.get(field):
                yield Sample(metric=metric, value=None, source=f"/proc/meminfo: {why}")
        if found.available_kib is not None:
            available_mb = found.available_kib / KIB_PER_MIB
            yield Sample(metric="memory_available_mb", value=available_mb, source="/proc/meminfo")
        if found.swap_total_kib and found.swap_free_kib is not None:
            used_mb = (found.swap_total_kib - found.swap_free_kib) / KIB_PER_MIB
            yield Sample(metric="swap_used_mb", value=used_mb, source="/proc/meminfo")

    def _heat(self, sensors: Sequence[Path]) -> Iterable[Sample]:
        """The hottest of the processor's sensors."""
        printed = [value / 1000 for path in sensors if (value := number_in(path)) is not None]
        degrees = [value for value in printed if not CELSIUS.problem(value)]
        source = "hwmon, thermal zones"
        if degrees:
            yield Sample(metric="cpu_temperature_c", value=max(degrees), source=source)
        elif printed:
            why = f"{source}: {CELSIUS.problem(printed[0])}"
            yield Sample(metric="cpu_temperature_c", value=None, source=why)

    def _clock(self) -> Iterable[Sample]:
        """Mean over a few of the cores."""
        mhz = [value / 1000 for path in self._clocks if (value := number_in(path)) is not None]
        if not mhz:
            return
        problem = next(filter(None, map(MHZ.problem, mhz)), "")
        mean_mhz = None if problem else sum(mhz) / len(mhz)
        source = f"cpufreq: {problem}" if problem else "cpufreq"
        yield Sample(metric="cpu_clock_mhz", value=mean_mhz, source=source)

    def _temperatures(self) -> list[Path]:
        zones = self._sys / "class" / "thermal"
        sensors = self._sys / "class" / "hwmon"
        return [
            *(path / "temp" for path in zones.glob("thermal_zone*") if _of_cpu(path / "type")),
            *(
                path / "temp1_input"
                for path in sensors.glob("hwmon*")
                if text_in(path / "name") in CPU_SENSORS
            ),
        ]

    def _frequencies(self) -> list[Path]:
        policies = sorted((self._sys / "devices/system/cpu/cpufreq").glob("policy*"))
        step = max(len(policies) // MOST_CLOCKS, 1)
        return [policy / "scaling_cur_freq" for policy in policies[::step][:MOST_CLOCKS]]


class Rapl:
    """Energy of the processor's packages, where the kernel lets us read it (often only root)."""

    name = "rapl"
    pace: Literal["power", "state", "stream"] = "power"

    def __init__(self, root: Path = Path("/")) -> None:
        self._folder = root / "sys" / "class" / "powercap"
        self._packages: list[_Package] = []

    def available(self) -> bool:
        self._packages = [
            _Package(path)
            for path in sorted(self._folder.glob("intel-rapl:*"))
            if (text_in(path / "name") or "").startswith("package-")
        ]
        return any(number_in(package.counter) is not None for package in self._packages)

    def read(self) -> Sequence[Sample]:
        totals_uj = [package.total_uj() for package in self._packages]
        known = [total for total in totals_uj if total is not None]
        whole_uj = sum(known) if len(known) == len(totals_uj) else None
        return [
            Sample(
                metric="cpu_package_energy_joules",
                value=None if whole_uj is None else whole_uj / 1e6,
                source="rapl" if whole_uj is not None else "rapl: a package cannot be read",
            )
        ]

    def close(self) -> None: ...


class _Package:
    """One counter, which the kernel lets wrap around."""

    def __init__(self, folder: Path) -> None:
        self.counter = folder / "energy_uj"
        self._range_uj = number_in(folder / "max_energy_range_uj")
        self._last_uj: int | None = None
        self._wrapped_uj = 0

    def total_uj(self) -> int | None:
        now_uj = number_in(self.counter)
        if now_uj is None or now_uj < 0 or (self._range_uj and now_uj > self._range_uj):
            return None
        if self._last_uj is not None and now_uj < self._last_uj:
            if self._range_uj is None:
                return None
            self._wrapped_uj += self._range_uj
        self._last_uj = now_uj
        return self._wrapped_uj + now_uj


class MacHost:
    """Load at each reading; swap and memory pressure, which take a process, at few of them."""

    name = "host"
    pace: Literal["power", "state", "stream"] = "state"

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._reads = 0

    def available(self) -> bool:
        return self._commands.run(["sysctl", "-n", "kern.osrelease"]).ok

    def read(self) -> Sequence[Sample]:
        samples = [Sample(metric="cpu_load_1m", value=os.getloadavg()[0], source="getloadavg")]
        if self._reads % MAC_COMMAND_EVERY == 0:
            samples += self._memory()
        self._reads += 1
        return samples

    def close(self) -> None:
        self._reads = 0

    def _memory(self) -> Iterable[Sample]:
        names = ["vm.swapusage", "kern.memorystatus_vm_pressure_level"]
        told = parse_sysctl(self._commands.run(["sysctl", *names]).stdout)
        swap, level = parse_swap_used_mb(told.get(names[0], "")), whole(told.get(names[1]))
        values = {"swap_used_mb": swap, "memory_pressure_level": level}
        for metric, value in values.items():
            source = "sysctl" if value is not None else "sysctl does not tell"
            yield Sample(metric=metric, value=value, source=source)


def text_in(path: Path) -> str | None:
    """None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def number_in(path: Path) -> int | None:
    return whole(text_in(path))


def _of_cpu(kind: Path) -> bool:
    return (text_in(kind) or "").startswith(CPU_ZONES)
