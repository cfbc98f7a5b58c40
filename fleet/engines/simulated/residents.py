"""Models that somebody else holds in the memory of a scripted machine; pure but for its own state."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.model.machine import full_model_name
from fleet.model.script import MachineScript, ScriptedResident
from fleet.units import NS_PER_S

KEPT_S = 300
"""Ollama keeps a model for so long after its last use, where it is not told another time."""
FOREVER_NS = 292 * 365 * 86400 * NS_PER_S


class Residents:
    """Times are real: the scripted ones at the time scale, from the server's start on."""

    def __init__(self, script: MachineScript, now_ns: int) -> None:
        self._began_ns, self._second_ns = now_ns, script.time_scale * NS_PER_S
        self._there = {full_model_name(name): one for name, one in script.resident.items()}

    def go_in_ns(self, now_ns: int) -> Mapping[str, int]:
        """By name, those that are there: how long until each goes by itself, if nobody uses it."""
        since_ns = now_ns - self._began_ns
        return {
            name: self._goes_in_ns(one, since_ns)
            for name, one in self._there.items()
            if one.leaves_after_s is None or since_ns < one.leaves_after_s * self._second_ns
        }

    def take_out(self, name: str) -> None:
        self._there.pop(full_model_name(name), None)

    def _goes_in_ns(self, one: ScriptedResident, since_ns: int) -> int:
        if one.used_every_s is None:
            return FOREVER_NS - since_ns
        every_ns = one.used_every_s * self._second_ns
        return round(KEPT_S * self._second_ns - since_ns % every_ns)
