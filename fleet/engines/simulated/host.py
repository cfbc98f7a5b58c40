"""Starts scripted servers anew, each with the GPU limit that the scripted machine has then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from fleet.engines.simulated.engine import Simulated
from fleet.model.script import MachineScript
from fleet.ports import Clock, OwnEngine, Stop


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """One side of ports.EngineHost; `script` is asked anew at each start, as an Ollama looks."""

    script: Callable[[], MachineScript]
    clock: Clock
    starts: Iterator[int] = field(default_factory=lambda: count(1))
    """Each start has a noise of its own."""

    def refusal(self) -> str:
        return ""

    def start(self, environment: Mapping[str, str], stop: Stop) -> OwnEngine:
        script = self.script()
        engine = Simulated(script, seed=next(self.starts), clock=self.clock)
        return OwnEngine(
            engine=engine,
            environment=environment,
            gpu_limit_mb=script.gpu_memory_mb,
            close=engine.close,
        )
