"""Models that somebody else holds in the memory of a scripted machine."""

from __future__ import annotations

import time
from collections.abc import Mapping

from fleet.model.machine import full_model_name
from fleet.model.script import MachineScript, ScriptedResident
from fleet.units import NS_PER_S

KEPT_S = 300
"""Ollama keeps a model for so long after its last use, where it is not told another time."""
FOREVER_S = 292 * 365 * 86400


class Residents:
    """Times are real: the scripted ones at the time scale, from the server's start on."""

    def __init__(self, script: MachineScript) -> None:
        self._began_ns, self._began_unix_ns = time.monotonic_ns(), time.time_ns()
        self._second_ns = script.time_scale * NS_PER_S
        self._models = {full_model_name(name): model for name, model in script.resident.items()}

    def expire_unix_ns(self, now_ns: int) -> Mapping[str, int]:
        """By name, those that are there: when each goes by itself, if nobody uses it again."""
        since_ns = now_ns - self._began_ns
        return {
            name: self._began_unix_ns + self._last_ns(model, since_ns)
            for name, model in self._models.items()
            if model.leaves_after_s is None or since_ns < model.leaves_after_s * self._second_ns
        }

    def take_out(self, name: str) -> None:
        self._models.pop(full_model_name(name), None)

    def _last_ns(self, model: ScriptedResident, since_ns: int) -> int:
        """Return when the model is due to leave, from the start on; each use puts that off."""
        if model.used_every_s is None:
            return FOREVER_S * NS_PER_S
        every_ns = round(model.used_every_s * self._second_ns)
        return since_ns // every_ns * every_ns + round(KEPT_S * self._second_ns)
