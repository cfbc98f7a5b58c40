"""NVIDIA GPUs through NVML: energy counter, power, load, memory, temperature and clocks.

Values cover all GPUs: sums of energy, power and memory, the mean of the load, the highest
temperature and fan, the lowest clock. The library is imported at the first look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from fleet.model.quantities import reading_problem
from fleet.ports import Sample, TelemetryProbe
from fleet.units import MIB

NO_VALUE = frozenset({3, 4, 13})
"""Codes for not supported, no permission, function not found: the value is missing, not the GPU."""


def nvidia_probes(load: Callable[[], Any]) -> list[TelemetryProbe]:
    """Return two probes, since power is read more often than the rest.

    `load` imports the module pynvml, or raises ImportError.
    """
    return [NvidiaPower(load), NvidiaState(load)]


class _Gpus:
    """The library with a handle for each GPU. It stays open, since opening may take seconds."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._nvml: Any = None
        self._handles: list[Any] = []

    def available(self) -> bool:
        """Open the library; return False if there is no library, driver or GPU."""
        try:
            self._open()
        except ImportError:
            return False
        except self._nvml.NVMLError:  # no driver, no GPU
            return False
        return bool(self._handles)

    def close(self) -> None:
        """Close nothing: the library stays open."""

    def _open(self) -> None:
        self._nvml = nvml = self._load()
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
        self._handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]

    def _over_all(
        self, metric: str, read: Callable[[Any], float], fold: Callable[[list[float]], float]
    ) -> Sample:
        """Combine the values of all GPUs: None if one GPU lacks it; raise if one is lost."""
        if not self._handles:
            self._open()
        try:
            values = [read(handle) for handle in self._handles]
        except self._nvml.NVMLError as problem:
            if problem.value in NO_VALUE:
                return Sample(metric=metric, value=None, source=f"nvml: {problem}")
            self._handles = []  # the next reading opens the library again
            raise
        wrong = next(filter(None, (reading_problem(metric, value) for value in values)), "")
        if wrong:
            return Sample(metric=metric, value=None, source=f"nvml: {wrong}")
        several = f" over {len(self._handles)} GPUs" if len(self._handles) > 1 else ""
        return Sample(metric=metric, value=fold(values), source=f"nvml{several}")


class NvidiaPower(_Gpus):
    """Energy and power of the NVIDIA GPUs."""

    name = "nvidia power"
    pace: Literal["power", "state", "stream"] = "power"

    def read(self) -> Sequence[Sample]:
        """Read all values now."""
        return [
            self._over_all("gpu_board_energy_joules", self._joules, sum),
            self._over_all("gpu_board_power_w", self._watts, sum),
        ]

    def _joules(self, handle: Any) -> float:
        """Return the energy since the driver was loaded; GPUs since Volta have it."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000

    def _watts(self, handle: Any) -> float:
        try:
            return float(self._nvml.nvmlDeviceGetPowerUsage(handle)) / 1000
        except self._nvml.NVMLError as problem:
            if problem.value not in NO_VALUE:
                raise
            return self._instant_watts(handle, problem)

    def _instant_watts(self, handle: Any, problem: Exception) -> float:
        """Return the instantaneous power, which is all that some GPUs offer."""
        fields = self._nvml.nvmlDeviceGetFieldValues(handle, [self._nvml.NVML_FI_DEV_POWER_INSTANT])
        if fields[0].nvmlReturn != 0:
            raise problem
        return float(fields[0].value.uiVal) / 1000


class NvidiaState(_Gpus):
    """Load, memory, temperature and clocks of the NVIDIA GPUs."""

    name = "nvidia"
    pace: Literal["power", "state", "stream"] = "state"

    def read(self) -> Sequence[Sample]:
        """Read all values now."""
        return [
            self._over_all("gpu_busy_percent", self._busy, _mean),
            self._over_all("gpu_memory_used_mb", self._used_mb, sum),
            self._over_all("gpu_temperature_c", self._temperature, max),
            self._over_all("gpu_clock_mhz", self._clock_mhz, min),
            self._over_all("gpu_fan_percent", self._fan_percent, max),
            self._over_all("gpu_clock_event_bits", self._events, _any_bit),
        ]

    def _busy(self, handle: Any) -> float:
        return float(self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    def _used_mb(self, handle: Any) -> float:
        return float(self._nvml.nvmlDeviceGetMemoryInfo(handle).used) / MIB

    def _temperature(self, handle: Any) -> float:
        return float(self._nvml.nvmlDeviceGetTemperature(handle, self._nvml.NVML_TEMPERATURE_GPU))

    def _clock_mhz(self, handle: Any) -> float:
        return float(self._nvml.nvmlDeviceGetClockInfo(handle, self._nvml.NVML_CLOCK_SM))

    def _fan_percent(self, handle: Any) -> float:
        """Return how fast the fan shall turn; a board without a fan of its own has none."""
        return float(self._nvml.nvmlDeviceGetFanSpeed(handle))

    def _events(self, handle: Any) -> float:
        """Return why the clocks are lowered, as bits.

        0x8 is a hardware slowdown, 0x20 and 0x40 are heat, 0x80 is a power brake; 0x4 is normal
        under load.
        """
        return float(self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _any_bit(values: list[float]) -> float:
    bits = 0
    for value in values:
        bits |= int(value)
    return float(bits)
