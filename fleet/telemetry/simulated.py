"""The scripted power curve of a simulated machine, read from its server as from a meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from fleet.model.machine import EnergyScope
from fleet.ports import Sample

SOURCE = "machine script"


class ScriptedPower:
    """The power of a scripted machine.

    `meter` returns the present watts, and the joules since the server started or None.
    """

    name = "simulated"
    pace: Literal["power", "state", "stream"] = "power"

    def __init__(
        self,
        meter: Callable[[], tuple[float, float | None]],
        scope: EnergyScope = "gpu_board",
    ) -> None:
        self._meter = meter
        self._scope = scope

    def available(self) -> bool:
        """Return True: the script has a power curve."""
        return True

    def read(self) -> Sequence[Sample]:
        """Read the meter."""
        watts, joules = self._meter()
        samples = [Sample(metric=f"{self._scope}_power_w", value=watts, source=SOURCE)]
        if joules is not None:
            total = Sample(metric=f"{self._scope}_energy_joules", value=joules, source=SOURCE)
            samples.append(total)
        return samples

    def close(self) -> None:
        """Close nothing."""
