"""Facts of a simulated machine: what its script says, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet.fingerprint.derived import SIMULATED
from fleet.fingerprint.facts import facts
from fleet.model.machine import Fact, FactValue
from fleet.model.script import MachineScript


class ScriptedProbe:
    name = "simulated"
    tells = frozenset({"chip", "gpu", "memory_gb"})

    def __init__(
        self, script: MachineScript, wired_limit_mb: Callable[[], int | None] = lambda: 0
    ) -> None:
        """`wired_limit_mb`: the setting of a scripted Mac, as it is now."""
        self._script = script
        self._wired_limit_mb = wired_limit_mb
        self._looks = 0

    def available(self) -> bool:
        return True

    def collect(self) -> Sequence[Fact]:
        script = self._script
        values = {
            "chip": script.chip,
            "gpu": script.gpu,
            "gpu_cores": script.gpu_cores,
            "memory_gb": script.memory_gb,
            **self._memory(),
            "os": script.os,
            "os_version": script.os_version,
            # Keeps its hardware hash apart from that of every real machine.
            "architecture": SIMULATED,
        }
        look, self._looks = self._looks, self._looks + 1
        more = {name: _at(value, look) for name, value in script.facts.items()}
        return facts("machine script", {**values, **more})

    def _memory(self) -> dict[str, FactValue]:
        """Return the GPU's memory: a Mac's GPU shares the machine's, a card has its own."""
        own_mb = self._script.gpu_memory_mb
        if self._script.os != "darwin":
            return {"gpu_memory_mb": own_mb}
        setting_mb = self._wired_limit_mb()
        return {
            "wired_limit_mb": setting_mb,
            "gpu_limit_mb": None if setting_mb is None else setting_mb or own_mb,
            "gpu_limit_expected_mb": own_mb,
        }


class HeatProbe:
    """How warm a scripted machine is right now, as its server tells."""

    name = "simulated heat"
    tells = frozenset({"thermal_class"})

    def __init__(self, thermal_class: Callable[[], str | None]) -> None:
        self._thermal_class = thermal_class

    def available(self) -> bool:
        return True

    def collect(self) -> Sequence[Fact]:
        return facts("simulated server", {"thermal_class": self._thermal_class()})


def _at(value: FactValue | tuple[FactValue, ...], look: int) -> FactValue:
    """Return the value for this look; a list gives one value a look, and its last from then on."""
    return value[min(look, len(value) - 1)] if isinstance(value, tuple) else value
