"""Apple silicon: energy and power of the chip, power of the whole machine, load, heat and clocks.

`chip_package` is the sum of CPU, GPU and Neural Engine in macmon and powermetrics, without memory.
All three sources report the system's own estimates, which are comparable only on one kind of chip;
`system` is measured behind the power supply.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""At shorter intervals the tools would cost more than their readings are worth."""
WAIT_S = 0.2
"""Longest wait inside one reading, so that the end of a trial is not delayed."""
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
        """Open the counters; return False if the library is not installed."""
        try:
            self._monitor = self._load().AppleEnergyMonitor()
        except ImportError:
            return False
        return True

    def read(self) -> Sequence[Sample]:
        """Read the counters now."""
        energy = self._monitor.get_cumulative_energy()
        parts_mj = [energy.cpu_total_mj, energy.gpu_mj, energy.ane_mj]
        chip_mj = None if None in parts_mj[:2] else sum(filter(None, parts_mj))
        return [
            _sample("chip_package_energy_joules", _thousandth(chip_mj), "zeus-apple-silicon"),
            _sample("gpu_energy_joules", _thousandth(energy.gpu_mj), "zeus-apple-silicon"),
            _sample("ram_energy_joules", _thousandth(energy.dram_mj), "zeus-apple-silicon"),
        ]

    def close(self) -> None:
        """Close nothing."""


class _Stream:
    """A program that prints one sample after another, until it is ended."""

    name: str
    pace: Literal["power", "state", "stream"] = "stream"

    def __init__(self, interval_ms: int, clock: Clock) -> None:
        self._interval_ms = interval_ms
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = ""
        self._output_ns = 0
        self._state_due_ns = 0

    @abstractmethod
    def _argv(self) -> list[str]: ...

    @abstractmethod
    def _samples(self, text: str, middle_ns: int) -> tuple[list[Sample], str]:
        """Return the samples in the text, and the rest that is not a whole sample yet."""

    def available(self) -> bool:
        """Return whether the program is installed."""
        return shutil.which(self._argv()[0]) is not None

    def read(self) -> Sequence[Sample]:
        """Wait a moment for the next sample, dated at the middle of its interval.

        Raises EOFError if the program has ended, TimeoutError if it prints nothing.
        """
        process = self._started()
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], WAIT_S)
        now_ns = self._clock.monotonic_ns()
        if not readable:
            if now_ns - self._output_ns > SILENT_S * NS_PER_S:
                self.close()
                raise TimeoutError(f"{self.name} has printed nothing for {SILENT_S:.0f} s")
            return []
        printed = os.read(process.stdout.fileno(), READ_BYTES)
        if not printed:
            raise EOFError(self._ended())
        self._output_ns = now_ns
        middle_ns = now_ns - self._interval_ms * NS_PER_MS // 2
        text = self._rest + printed.decode(errors="replace")
        samples, self._rest = self._samples(text, middle_ns)
        return samples

    def close(self) -> None:
        """End the program."""
        process, self._process, self._rest = self._process, None, ""
        if process is None:
            return
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        with suppress(PermissionError):  # sudo belongs to root; the closed pipe ends what it runs
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
                start_new_session=True,  # Ctrl-C reaches fleet alone
            )
            self._output_ns = self._clock.monotonic_ns()
        return self._process

    def _ended(self) -> str:
        """Return the program's last message and its status."""
        process = self._process
        assert process is not None
        assert process.stderr is not None
        try:
            code = process.wait(END_S)
            messages = process.stderr.read().decode(errors="replace").strip().splitlines()
        except subprocess.TimeoutExpired:
            code, messages = None, []
        self.close()
        return f"{self.name} ended with status {code}" + (f": {messages[-1]}" if messages else "")

    def _timed(self, samples: Sequence[Some], last_ns: int) -> Iterable[tuple[int, Some]]:
        """Yield each sample with its time: a late reading gets several samples at once."""
        first_ns = last_ns - (len(samples) - 1) * self._interval_ms * NS_PER_MS
        for number, each in enumerate(samples):
            yield first_ns + number * self._interval_ms * NS_PER_MS, each

    def _is_state_due(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._state_due_ns:
            return False
        self._state_due_ns = now_ns + STATE_EVERY_NS
        return True


class Macmon(_Stream):
    """The program macmon, which needs no root."""

    name = "macmon"

    def _argv(self) -> list[str]:
        return ["macmon", "pipe", "-i", str(self._interval_ms)]

    def _samples(self, text: str, middle_ns: int) -> tuple[list[Sample], str]:
        *lines, rest = text.split("\n")
        parsed = [sample for line in lines if (sample := parse_macmon(line)) is not None]
        samples = [
            s
            for at_ns, each in self._timed(parsed, middle_ns)
            for s in _macmon(each, MACMON_POWER, at_ns)
        ]
        if parsed and self._is_state_due():
            samples += _macmon(parsed[-1], MACMON_STATE)
        return samples, rest


class Powermetrics(_Stream):
    """The program powermetrics, which needs root: `sudo -n` fails instead of asking."""

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
        parsed = [sample for each in whole if (sample := parse_sample(each)) is not None]
        samples = [
            s for at_ns, each in self._timed(parsed, middle_ns) for s in self._power(each, at_ns)
        ]
        if parsed and self._is_state_due():
            last = parsed[-1]
            busy, mhz, lost = last.gpu_busy_percent, last.gpu_mhz, last.outside
            samples.append(_sample("gpu_busy_percent", busy, self.name))
            samples.append(
                _sample("gpu_clock_mhz", mhz, self.name, outside=lost.get("gpu_mhz", ""))
            )
        return samples, rest

    def _power(self, sample: PowerSample, middle_ns: int) -> Iterable[Sample]:
        """Add up the energies of the intervals: power times elapsed time would not be energy."""
        end_ns = middle_ns + self._interval_ms * NS_PER_MS // 2
        parts_mj = (sample.cpu_millijoules, sample.gpu_millijoules, sample.ane_millijoules)
        if None in parts_mj[:2]:
            lost = next((why for field, why in sample.outside.items() if field.endswith(MJ)), "")
            yield _sample("chip_package_energy_joules", None, self.name, end_ns, lost)
        else:
            self._chip_joules += sum(filter(None, parts_mj)) / 1000
            yield _sample("chip_package_energy_joules", self._chip_joules, self.name, end_ns)
        lost = sample.outside.get("combined_watts", "")
        yield _sample("chip_package_power_w", sample.combined_watts, self.name, middle_ns, lost)


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
"""The field of a sample that each metric comes from."""


def _macmon(
    sample: MacmonSample, fields: Mapping[str, str], at_ns: int | None = None
) -> Iterable[Sample]:
    return [_of(sample, metric, field, at_ns) for metric, field in fields.items()]


def _of(sample: MacmonSample, metric: str, field: str, at_ns: int | None) -> Sample:
    value = getattr(sample, field)
    if isinstance(value, tuple):
        value = max(value, default=None)
    if value is not None and field.endswith("_bytes"):
        value = value / MIB
    return _sample(metric, value, "macmon", at_ns, sample.outside.get(field, ""))


def _sample(
    metric: str, value: float | None, source: str, at_ns: int | None = None, outside: str = ""
) -> Sample:
    if value is None:
        source = f"{source}: {outside}" if outside else f"{source} does not report it"
    return Sample(metric=metric, value=value, source=source, at_ns=at_ns)


def _thousandth(milli: float | None) -> float | None:
    return None if milli is None else milli / 1000
