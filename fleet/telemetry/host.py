"""The host: load, memory, temperature and clock of the processor, and its energy if readable."""

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
"""Cores whose clock is read: reading the clock of a core interrupts it."""
KIB_PER_MIB = 1024
AVAILABLE = "available_kib"
MAC_COMMAND_EVERY = 10
"""Readings per call of a command, since a process for each would cost more than the rest."""


class LinuxHost:
    """The host as Linux shows it; `root` is another file system in tests."""

    name = "host"
    pace: Literal["power", "state", "stream"] = "state"

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc, self._sys = root / "proc", root / "sys"
        self._before: Look | None = None
        self._sensors: list[Path] | None = None
        self._clocks: list[Path] = []

    def available(self) -> bool:
        """Return whether this system has /proc/stat."""
        return (self._proc / "stat").exists()

    def read(self) -> Sequence[Sample]:
        """Read all values now."""
        if self._sensors is None:
            self._sensors, self._clocks = self._temperatures(), self._frequencies()
        return [*self._busy(), *self._memory(), *self._heat(self._sensors), *self._clock()]

    def close(self) -> None:
        """Forget the last load: the next reading begins a new difference."""
        self._before = None

    def _busy(self) -> Iterable[Sample]:
        """Yield the load since the last reading; the first reading has none."""
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
        memory = parse_meminfo((self._proc / "meminfo").read_text())
        for metric, field in (
            ("memory_available_mb", AVAILABLE),
            ("swap_used_mb", "swap_free_kib"),
        ):
            if why := memory.outside.get(field):
                yield Sample(metric=metric, value=None, source=f"/proc/meminfo: {why}")
        if memory.available_kib is not None:
            available_mb = memory.available_kib / KIB_PER_MIB
            yield Sample(metric="memory_available_mb", value=available_mb, source="/proc/meminfo")
        if memory.swap_total_kib and memory.swap_free_kib is not None:
            used_mb = (memory.swap_total_kib - memory.swap_free_kib) / KIB_PER_MIB
            yield Sample(metric="swap_used_mb", value=used_mb, source="/proc/meminfo")

    def _heat(self, sensors: Sequence[Path]) -> Iterable[Sample]:
        """Yield the temperature of the processor's hottest sensor."""
        printed = [value / 1000 for path in sensors if (value := number_in(path)) is not None]
        degrees = [value for value in printed if not CELSIUS.problem(value)]
        source = "hwmon, thermal zones"
        if degrees:
            yield Sample(metric="cpu_temperature_c", value=max(degrees), source=source)
        elif printed:
            why = f"{source}: {CELSIUS.problem(printed[0])}"
            yield Sample(metric="cpu_temperature_c", value=None, source=why)

    def _clock(self) -> Iterable[Sample]:
        """Yield the mean clock of a few of the cores."""
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
    """Energy of the processor's packages, if the kernel allows reading it (often only to root)."""

    name = "rapl"
    pace: Literal["power", "state", "stream"] = "power"

    def __init__(self, root: Path = Path("/")) -> None:
        self._folder = root / "sys" / "class" / "powercap"
        self._packages: list[_Package] = []

    def available(self) -> bool:
        """Find the packages; return False if no counter can be read."""
        self._packages = [
            _Package(path)
            for path in sorted(self._folder.glob("intel-rapl:*"))
            if (text_in(path / "name") or "").startswith("package-")
        ]
        return any(number_in(package.counter) is not None for package in self._packages)

    def read(self) -> Sequence[Sample]:
        """Read the counters of all packages."""
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

    def close(self) -> None:
        """Close nothing: files are opened for each reading."""


class _Package:
    """The energy counter of one package, which wraps around."""

    def __init__(self, folder: Path) -> None:
        self.counter = folder / "energy_uj"
        self._range_uj = number_in(folder / "max_energy_range_uj")
        self._last_uj: int | None = None
        self._wrapped_uj = 0

    def total_uj(self) -> int | None:
        """Return the counter without its wraps, or None if it cannot be read."""
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
    """The host as macOS shows it: load often, swap and memory pressure seldom.

    Swap and memory pressure take a process for each reading.
    """

    name = "host"
    pace: Literal["power", "state", "stream"] = "state"

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._reads = 0

    def available(self) -> bool:
        """Return whether this system has sysctl."""
        return self._commands.run(["sysctl", "-n", "kern.osrelease"]).ok

    def read(self) -> Sequence[Sample]:
        """Read the values that are due."""
        samples = [Sample(metric="cpu_load_1m", value=os.getloadavg()[0], source="getloadavg")]
        if self._reads % MAC_COMMAND_EVERY == 0:
            samples += self._memory()
        self._reads += 1
        return samples

    def close(self) -> None:
        """Read everything again at the first reading of the next trial."""
        self._reads = 0

    def _memory(self) -> Iterable[Sample]:
        names = ["vm.swapusage", "kern.memorystatus_vm_pressure_level"]
        printed = parse_sysctl(self._commands.run(["sysctl", *names]).stdout)
        swap, level = (
            parse_swap_used_mb(printed.get(names[0], "")),
            whole(printed.get(names[1])),
        )
        values = {"swap_used_mb": swap, "memory_pressure_level": level}
        for metric, value in values.items():
            source = "sysctl" if value is not None else "sysctl does not report it"
            yield Sample(metric=metric, value=value, source=source)


def text_in(path: Path) -> str | None:
    """Return the text of a file, or None if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def number_in(path: Path) -> int | None:
    """Return the whole number in a file, or None if there is none."""
    return whole(text_in(path))


def _of_cpu(kind: Path) -> bool:
    return (text_in(kind) or "").startswith(CPU_ZONES)
