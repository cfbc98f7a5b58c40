"""Apple silicon: the chip's energy and power, the whole machine's power, load, heat, clocks.

`chip_package` is CPU, GPU and Neural Engine, as macmon and powermetrics add them up: memory is
not in it. All three sources are the system's estimates, to be compared on one kind of chip only;
`system` is measured behind the power supply.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar

from fleet.model.experiment import Telemetry
from fleet.ports import Clock, Sample, TelemetryProbe
from fleet.readers.macmon import MacmonSample
from fleet.readers.macmon import parse_line as parse_macmon
from fleet.readers.powermetrics import PowerSample, parse_sample, split_samples
from fleet.units import MIB, NS_PER_MS, NS_PER_S

Some = TypeVar("Some")

LEAST_INTERVAL_MS = 500
"""More often, the tools themselves would cost more than they tell."""
WAIT_S = 0.2
"""Longest wait inside one reading: a trial that ends is not kept waiting."""
SILENT_S = 5.0
STATE_EVERY_NS = NS_PER_S
END_S = 0.2
END_BY_PIPE_S = 2.0
READ_BYTES = 2**16
MJ = "_millijoules"


def apple_probes(
    wanted: Telemetry, clock: Clock, load_zeus: Callable[[], Any]
) -> list[TelemetryProbe]:
    """Return the probes of an Apple chip.

    `load_zeus` imports the module zeus_apple_silicon, or raises ImportError.
    """
    interval_ms = max(round(wanted.power_s * 1000), LEAST_INTERVAL_MS)
    probes: list[TelemetryProbe] = [Zeus(load_zeus), Macmon(interval_ms, clock)]
    return [*probes, Powermetrics(interval_ms, clock)] if wanted.powermetrics else probes


class Zeus:
    """The chip's energy counters, in this process and without root."""

    name = "zeus"
    pace: Literal["power", "state", "stream"] = "power"

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._monitor: Any = None

    def available(self) -> bool:
        try:
            self._monitor = self._load().AppleEnergyMonitor()
        except ImportError:
            return False
        return True

    def read(self) -> Sequence[Sample]:
        told = self._monitor.get_cumulative_energy()
        parts_mj = [told.cpu_total_mj, told.gpu_mj, told.ane_mj]
        chip_mj = None if None in parts_mj[:2] else sum(filter(None, parts_mj))
        return [
            _sample("chip_package_energy_joules", _thousandth(chip_mj), "zeus-apple-silicon"),
            _sample("gpu_energy_joules", _thousandth(told.gpu_mj), "zeus-apple-silicon"),
            _sample("ram_energy_joules", _thousandth(told.dram_mj), "zeus-apple-silicon"),
        ]

    def close(self) -> None: ...


class _Stream:
    """A program that prints one sample after another, until it is ended."""

    name: str
    pace: Literal["power", "state", "stream"] = "stream"

    def __init__(self, interval_ms: int, clock: Clock) -> None:
        self._interval_ms = interval_ms
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = ""
        self._heard_ns = 0
        self._state_due_ns = 0

    @abstractmethod
    def _argv(self) -> list[str]: ...

    @abstractmethod
    def _samples(self, text: str, middle_ns: int) -> tuple[list[Sample], str]:
        """Of what was printed so far, and the part that is no whole sample yet."""

    def available(self) -> bool:
        return shutil.which(self._argv()[0]) is not None

    def read(self) -> Sequence[Sample]:
        """Waits a moment for the next sample.

        Its time is the middle of the interval that the program has averaged over. Raises EOFError
        where the program ended, TimeoutError where it says nothing.
        """
        process = self._started()
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], WAIT_S)
        now_ns = self._clock.monotonic_ns()
        if not readable:
            if now_ns - self._heard_ns > SILENT_S * NS_PER_S:
                self.close()
                raise TimeoutError(f"{self.name} has said nothing for {SILENT_S:.0f} s")
            return []
        printed = os.read(process.stdout.fileno(), READ_BYTES)
        if not printed:
            raise EOFError(self._ended())
        self._heard_ns = now_ns
        middle_ns = now_ns - self._interval_ms * NS_PER_MS // 2
        text = self._rest + printed.decode(errors="replace")
        samples, self._rest = self._samples(text, middle_ns)
        return samples

    def close(self) -> None:
        process, self._process, self._rest = self._process, None, ""
        if process is None:
            return
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        with suppress(PermissionError):  # sudo is root's: the closed pipe ends what it runs
            process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            with suppress(PermissionError):
                process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_BY_PIPE_S)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._argv(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us
            )
            self._heard_ns = self._clock.monotonic_ns()
        return self._process

    def _ended(self) -> str:
        """What it said last, and its status."""
        process = self._process
        assert process is not None
        assert process.stderr is not None
        try:
            code = process.wait(END_S)
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
        except subprocess.TimeoutExpired:
            code, said = None, []
        self.close()
        return f"{self.name} ended with status {code}" + (f": {said[-1]}" if said else "")

    def _timed(self, found: Sequence[Some], last_ns: int) -> Iterable[tuple[int, Some]]:
        """Where this process was late to read, several samples come at once."""
        first_ns = last_ns - (len(found) - 1) * self._interval_ms * NS_PER_MS
        for number, each in enumerate(found):
            yield first_ns + number * self._interval_ms * NS_PER_MS, each

    def _is_state_due(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._state_due_ns:
            return False
        self._state_due_ns = now_ns + STATE_EVERY_NS
        return True


class Macmon(_Stream):
    name = "macmon"

    def _argv(self) -> list[str]:
        return ["macmon", "pipe", "-i", str(self._interval_ms)]

    def _samples(self, text: str, middle_ns: int) -> tuple[list[Sample], str]:
        *lines, rest = text.split("\n")
        found = [sample for line in lines if (sample := parse_macmon(line)) is not None]
        samples = [
            s for at_ns, each in self._timed(found, middle_ns) for s in _macmon_power(each, at_ns)
        ]
        if found and self._is_state_due():
            samples += _macmon_state(found[-1])
        return samples, rest


class Powermetrics(_Stream):
    """Needs root: run through `sudo -n`, which fails rather than asks."""

    name = "powermetrics"

    def __init__(self, interval_ms: int, clock: Clock) -> None:
        super().__init__(interval_ms, clock)
        self._chip_joules = 0.0

    def _argv(self) -> list[str]:
        samplers = "cpu_power,gpu_power,ane_power"
        tool = ["powermetrics", "-f", "plist", "-i", str(self._interval_ms), "-s", samplers]
        return ["sudo", "-n", *tool]

    def _samples(self, text: str, middle_ns: int) -> tuple[list[Sample], str]:
        whole, rest = split_samples(text)
        found = [sample for each in whole if (sample := parse_sample(each)) is not None]
        samples = [
            s for at_ns, each in self._timed(found, middle_ns) for s in self._power(each, at_ns)
        ]
        if found and self._is_state_due():
            last = found[-1]
            busy, mhz, lost = last.gpu_busy_percent, last.gpu_mhz, last.outside
            samples.append(_sample("gpu_busy_percent", busy, self.name))
            samples.append(
                _sample("gpu_clock_mhz", mhz, self.name, outside=lost.get("gpu_mhz", ""))
            )
        return samples, rest

    def _power(self, told: PowerSample, middle_ns: int) -> Iterable[Sample]:
        """Energies of the intervals added up: power times elapsed time would not be energy."""
        end_ns = middle_ns + self._interval_ms * NS_PER_MS // 2
        parts_mj = (told.cpu_millijoules, told.gpu_millijoules, told.ane_millijoules)
        if None in parts_mj[:2]:
            lost = next((why for field, why in told.outside.items() if field.endswith(MJ)), "")
            yield _sample("chip_package_energy_joules", None, self.name, end_ns, lost)
        else:
            self._chip_joules += sum(filter(None, parts_mj)) / 1000
            yield _sample("chip_package_energy_joules", self._chip_joules, self.name, end_ns)
        lost = told.outside.get("combined_watts", "")
        yield _sample("chip_package_power_w", told.combined_watts, self.name, middle_ns, lost)


MACMON_POWER = {
    "chip_package_power_w": "soc_watts",
    "system_power_w": "system_watts",
    "cpu_power_w": "cpu_watts",
    "gpu_power_w": "gpu_watts",
    "ane_power_w": "ane_watts",
    "ram_power_w": "ram_watts",
}
MACMON_STATE = {
    "cpu_temperature_c": "cpu_celsius",
    "gpu_temperature_c": "gpu_celsius",
    "cpu_busy_percent": "cpu_busy_percent",
    "gpu_busy_percent": "gpu_busy_percent",
    "gpu_clock_mhz": "gpu_mhz",
    "memory_used_mb": "ram_used_bytes",
    "swap_used_mb": "swap_used_bytes",
    "fan_rpm": "fans_rpm",
}
"""Metrics by the field of a sample that they come from."""


def _macmon_power(sample: MacmonSample, at_ns: int) -> Iterable[Sample]:
    return [_of(sample, metric, field, at_ns) for metric, field in MACMON_POWER.items()]


def _macmon_state(sample: MacmonSample) -> Iterable[Sample]:
    return [_of(sample, metric, field) for metric, field in MACMON_STATE.items()]


def _of(sample: MacmonSample, metric: str, field: str, at_ns: int | None = None) -> Sample:
    value = getattr(sample, field)
    if isinstance(value, tuple):
        value = max(value, default=None)
    if value is not None and field.endswith("_bytes"):
        value = value / MIB
    return _sample(metric, value, "macmon", at_ns, sample.outside.get(field, ""))


def _sample(
    metric: str, value: float | None, source: str, at_ns: int | None = None, outside: str = ""
) -> Sample:
    why = f"{source}: {outside}" if outside else f"{source} does not tell"
    return Sample(
        metric=metric, value=value, source=source if value is not None else why, at_ns=at_ns
    )


def _thousandth(milli: float | None) -> float | None:
    return None if milli is None else milli / 1000
