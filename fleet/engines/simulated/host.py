"""Starts scripted servers anew, each with the GPU limit that the scripted machine has then."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.engines.simulated.engine import Simulated
from fleet.model.script import MachineScript
from fleet.ports import Clock, OwnEngine, Stop


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """One side of ports.EngineHost; `script` is asked anew at each start, as an Ollama looks."""

    script: Callable[[], MachineScript]
    clock: Clock

    def refusal(self) -> str:
        return ""

    def wait_until_free(self, stop: Stop) -> None:
        """Nobody else uses a scripted machine."""

    def start(self, environment: Mapping[str, str], attempt_id: str, stop: Stop) -> OwnEngine:
        script = self.script()
        noise = zlib.crc32(attempt_id.encode())  # each attempt has its own, the same each time
        engine = Simulated(script, seed=noise, clock=self.clock)
        return OwnEngine(
            engine=engine,
            environment=environment,
            gpu_limit_mb=script.gpu_memory_mb,
            close=engine.close,
        )
