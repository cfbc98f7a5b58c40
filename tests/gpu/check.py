"""Is what fleet reads of the NVIDIA GPUs of this machine right?  python -m tests.gpu.check

fleet reads facts from nvidia-smi and telemetry from NVML. Here each is read by the other road at
the same time, and the energy counter is held against the power that nvidia-smi prints over ten
seconds. Prints a table; exit code 1 where a line differs, 2 where there is no such GPU. Nothing on
the machine is changed. It is worth most while the GPU works: run a model beside it.
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import Any

from fleet.commands import SystemCommands
from fleet.fingerprint.nvidia import NvidiaProbe
from fleet.report.tables import aligned
from fleet.telemetry.nvidia import NvidiaPower, NvidiaState

SECONDS, PERIOD_S = 10.0, 0.5
QUERIED = (
    *("name", "driver_version", "memory.total", "memory.used", "temperature.gpu"),
    *("utilization.gpu", "clocks.sm", "power.draw"),
)
Gpu = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One value by both roads."""

    what: str
    fleet: str | float | None
    other: str | float | None
    within: float = 0.0
    """By how much two numbers may differ: the share of the larger one."""
    least: float = 0.0
    """Numbers that differ by no more than this are equal: they move between two readings."""

    @property
    def right(self) -> bool:
        """Whether both say the same; two that say nothing have not been compared."""
        if isinstance(self.fleet, float) and isinstance(self.other, float):
            most = max(self.least, self.within * max(abs(self.fleet), abs(self.other)))
            return abs(self.fleet - self.other) <= most
        return self.fleet is not None and self.fleet == self.other


def smi(run: Callable[[Sequence[str]], str]) -> list[Gpu]:
    """Return what nvidia-smi prints of each GPU now, in the units of its manual."""
    text = run(["nvidia-smi", f"--query-gpu={','.join(QUERIED)}", "--format=csv,noheader,nounits"])
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    return [dict(zip(QUERIED, row, strict=True)) for row in rows if row]


def fact_lines(facts: Mapping[str, object], nvml: Any) -> Iterator[Line]:
    """Hold the facts, which come from nvidia-smi, against NVML."""
    handles = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]
    total_mib = sum(nvml.nvmlDeviceGetMemoryInfo(each).total for each in handles) / 2**20
    names = {nvml.nvmlDeviceGetName(each) for each in handles}
    yield Line(what="number of GPUs", fleet=_number(facts["gpu_count"]), other=float(len(handles)))
    yield Line(
        what="its name is in the label",
        fleet=str(all(_bare(name) in str(facts["gpu"]) for name in names)),
        other="True",
    )
    yield Line(
        what="driver", fleet=_text(facts["gpu_driver"]), other=nvml.nvmlSystemGetDriverVersion()
    )
    yield Line(
        what="memory, MiB", fleet=_number(facts["gpu_memory_mb"]), other=total_mib, within=0.02
    )


def reading_lines(readings: Mapping[str, float | None], gpus: Sequence[Gpu]) -> Iterator[Line]:
    """Hold the telemetry, which comes from NVML, against nvidia-smi at nearly the same time."""

    def line(what: str, metric: str, column: str, fold: Callable[..., float], **may: float) -> Line:
        values = [_number(gpu[column]) for gpu in gpus]
        known = [value for value in values if value is not None]
        other = fold(known) if len(known) == len(gpus) else None
        return Line(what=what, fleet=readings.get(metric), other=other, **may)

    yield line(
        "memory in use, MiB", "gpu_memory_used_mb", "memory.used", sum, within=0.05, least=512
    )
    yield line("temperature, C", "gpu_temperature_c", "temperature.gpu", max, least=3)
    yield line("load, %", "gpu_busy_percent", "utilization.gpu", _mean, least=25)
    yield line("clock, MHz", "gpu_clock_mhz", "clocks.sm", min, within=0.2)
    yield line("power, W", "gpu_board_power_w", "power.draw", sum, within=0.2, least=15)


def energy_line(joules: float | None, watts: Sequence[tuple[float, float]]) -> Line:
    """Hold the energy counter against the power over time, by trapezoids.

    `watts`: moments in seconds with the power that nvidia-smi printed then.
    """
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(watts))
    return Line(what="energy of ten seconds, J", fleet=joules, other=area, within=0.1, least=5)


def measured_energy(nvml: ModuleType) -> Line:
    """Read the counter before and after, and the power meanwhile."""
    power = NvidiaPower(lambda: nvml)
    power.available()

    def joules() -> float | None:
        return {each.metric: each.value for each in power.read()}["gpu_board_energy_joules"]

    began, before, watts = time.monotonic(), joules(), []
    while time.monotonic() < began + SECONDS:
        drawn = [_number(gpu["power.draw"]) for gpu in smi(_run)]
        if None not in drawn:
            watts.append((time.monotonic(), sum(value for value in drawn if value is not None)))
        time.sleep(PERIOD_S)
    after = joules()
    spent = None if before is None or after is None else after - before
    whole_s = time.monotonic() - began
    covered_s = watts[-1][0] - watts[0][0] if watts else 0.0
    scaled = None if spent is None else spent * covered_s / whole_s
    return energy_line(scaled, watts)


def table(lines: Sequence[Line]) -> list[str]:
    cells = [
        [each.what, _shown(each.fleet), _shown(each.other), "" if each.right else "DIFFERS"]
        for each in lines
    ]
    return aligned(("what", "fleet", "other road", ""), cells, right=("fleet", "other road"))


def main() -> int:
    """Print the table."""
    try:
        import pynvml
    except ImportError:
        return _no("fleet's extra for NVIDIA is not installed: uv sync --extra nvidia")
    if not shutil.which("nvidia-smi") or not NvidiaState(lambda: pynvml).available():
        return _no("this machine has no NVIDIA GPU, or no driver answers")
    facts = {fact.name: fact.value for fact in NvidiaProbe(SystemCommands()).collect()}
    state, power = NvidiaState(lambda: pynvml), NvidiaPower(lambda: pynvml)
    readings = {each.metric: each.value for each in (*state.read(), *power.read())}
    lines = [
        *fact_lines(facts, pynvml),
        *reading_lines(readings, smi(_run)),
        measured_energy(pynvml),
    ]
    print("\n".join(table(lines)))
    return 0 if all(line.right for line in lines) else 1


def _no(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def _run(words: Sequence[str]) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def _bare(name: str) -> str:
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:  # [N/A]
        return None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _shown(value: str | float | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else value or "unknown"


if __name__ == "__main__":
    sys.exit(main())
