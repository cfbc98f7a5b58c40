"""AMD GPUs through the kernel's files: power, load, memory, temperature and clock.

The driver offers no energy counter; energy is the integral of the power. Values cover all GPUs, as
for NVIDIA.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from fleet.model.quantities import reading_problem
from fleet.ports import Sample, TelemetryProbe
from fleet.telemetry.host import number_in, text_in
from fleet.units import MIB

VENDOR = "0x1002"
CARD = re.compile(r"card\d+")
"""Leaves out outputs of a card, such as `card0-DP-1`."""


def amd_probes(root: Path = Path("/")) -> list[TelemetryProbe]:
    """Return the probes of AMD GPUs; `root` is another file system in tests."""
    return [AmdPower(root), AmdState(root)]


class _Cards:
    def __init__(self, root: Path) -> None:
        self._folder = root / "sys" / "class" / "drm"
        self._cards: list[Path] = []
        """The folder `device` of each card."""

    def available(self) -> bool:
        """Find the cards; return False if there are none."""
        cards = (path for path in self._folder.glob("card*") if CARD.fullmatch(path.name))
        devices = sorted(card / "device" for card in cards)
        amd = [path for path in devices if text_in(path / "vendor") == VENDOR]
        # Beside a board, the small GPU inside the processor only drives the screen.
        self._cards = [path for path in amd if _is_board(path)] or amd
        return bool(self._cards)

    def close(self) -> None:
        """Close nothing: files are opened for each reading."""

    def _over_all(
        self,
        metric: str,
        files: Sequence[str],
        scale: float,
        fold: Callable[[list[float]], float],
    ) -> Sample:
        """Combine the values of all cards, each from the first of the files that can be read.

        The value is None if one card has no such file, or an impossible value in it: a sum over
        all cards would hide that.
        """
        values = [_first(card, files) for card in self._cards]
        known = [value / scale for value in values if value is not None]
        problem = next(filter(None, (reading_problem(metric, value) for value in known)), "")
        if not known or len(known) < len(values):
            problem = f"{' and '.join(files)} cannot be read"
        if problem:
            return Sample(metric=metric, value=None, source=f"amdgpu: {problem}")
        return Sample(metric=metric, value=fold(known), source="amdgpu")


class AmdPower(_Cards):
    """Power of the AMD GPUs."""

    name = "amd power"
    pace: Literal["power", "state", "stream"] = "power"

    def read(self) -> Sequence[Sample]:
        """Read all values now."""
        files = ["hwmon/*/power1_average", "hwmon/*/power1_input"]
        scope = "gpu_board" if all(map(_is_board, self._cards)) else "chip_package"
        return [self._over_all(f"{scope}_power_w", files, 1e6, sum)]


class AmdState(_Cards):
    """Load, memory, temperature and clock of the AMD GPUs."""

    name = "amd"
    pace: Literal["power", "state", "stream"] = "state"

    def read(self) -> Sequence[Sample]:
        """Read all values now."""
        return [
            self._over_all("gpu_busy_percent", ["gpu_busy_percent"], 1, _mean),
            self._over_all("gpu_memory_used_mb", ["mem_info_vram_used"], MIB, sum),
            self._over_all("gpu_shared_memory_used_mb", ["mem_info_gtt_used"], MIB, sum),
            self._over_all("gpu_temperature_c", ["hwmon/*/temp1_input"], 1000, max),
            self._over_all("gpu_clock_mhz", ["hwmon/*/freq1_input"], 1e6, min),
            self._over_all("gpu_fan_rpm", ["hwmon/*/fan1_input"], 1, max),
        ]


def _is_board(card: Path) -> bool:
    """Return True for a board: its power can be capped, that of a GPU in a processor cannot."""
    return _first(card, ["hwmon/*/power1_cap"]) is not None


def _first(card: Path, files: Iterable[str]) -> int | None:
    for pattern in files:
        for path in sorted(card.glob(pattern)):
            value = number_in(path)
            if value is not None:
                return value
    return None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
