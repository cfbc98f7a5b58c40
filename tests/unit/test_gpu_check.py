"""The check for owners of an NVIDIA card: what it calls right, and what it calls different."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from tests.gpu import check

PRINTED = """\
NVIDIA GeForce RTX 4090, 570.86.10, 24564, 1000, 51, 40, 2520, 350.12
NVIDIA GeForce RTX 4090, 570.86.10, 24564, 3000, 63, 60, 2505, [N/A]
"""
READINGS = {
    "gpu_memory_used_mb": 4100.0,
    "gpu_temperature_c": 62.0,
    "gpu_busy_percent": 55.0,
    "gpu_clock_mhz": 2505.0,
    "gpu_board_power_w": 700.0,
}
FACTS = {
    "gpu_count": 2,
    "gpu": "2 x RTX 4090",
    "gpu_driver": "570.86.10",
    "gpu_memory_mb": 2 * 24564,
}
NVML = SimpleNamespace(
    nvmlDeviceGetCount=lambda: 2,
    nvmlDeviceGetHandleByIndex=lambda index: index,
    nvmlDeviceGetName=lambda _: "NVIDIA GeForce RTX 4090",
    nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=24564 * 2**20),
    nvmlSystemGetDriverVersion=lambda: "570.86.10",
)


def different(lines: Sequence[check.Line]) -> list[str]:
    return [line.what for line in lines if not line.right]


def test_readings_that_agree_are_right_and_unknown_ones_are_not() -> None:
    gpus = check.smi(lambda _: PRINTED)
    assert [gpu["memory.used"] for gpu in gpus] == ["1000", "3000"]
    assert different(list(check.reading_lines(READINGS, gpus))) == ["power, W"]


@pytest.mark.parametrize(
    ("metric", "value", "what"),
    [
        ("gpu_memory_used_mb", 3000.0, "memory in use, MiB"),
        ("gpu_temperature_c", 51.0, "temperature, C"),
        ("gpu_busy_percent", 0.55, "load, %"),
        ("gpu_clock_mhz", 1000.0, "clock, MHz"),
        ("gpu_board_power_w", None, "power, W"),
    ],
)
def test_a_reading_that_differs_is_named(metric: str, value: float | None, what: str) -> None:
    gpus = check.smi(lambda _: PRINTED.replace("[N/A]", "350.0"))
    assert different(list(check.reading_lines(READINGS, gpus))) == []
    assert different(list(check.reading_lines({**READINGS, metric: value}, gpus))) == [what]


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("gpu_count", 1, "number of GPUs"),
        ("gpu", "2 x RTX 4080", "its name is in the label"),
        ("gpu_driver", None, "driver"),
        ("gpu_memory_mb", 24564, "memory, MiB"),
    ],
)
def test_a_fact_that_differs_is_named(name: str, value: object, what: str) -> None:
    assert different(list(check.fact_lines(FACTS, NVML))) == []
    assert different(list(check.fact_lines({**FACTS, name: value}, NVML))) == [what]


def test_energy_is_power_over_time() -> None:
    watts = [(0.0, 100.0), (5.0, 300.0), (10.0, 100.0)]
    assert check.energy_line(2000.0, watts).other == 2000.0
    assert check.energy_line(2150.0, watts).right
    assert not check.energy_line(2300.0, watts).right
    assert not check.energy_line(None, watts).right


def test_the_table_says_what_differs() -> None:
    [*_, last] = check.table([check.Line(what="driver", fleet="1", other="2")])
    assert last.split() == ["driver", "1", "2", "DIFFERS"]
