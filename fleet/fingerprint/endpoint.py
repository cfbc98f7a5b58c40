"""Facts of a machine on which only Ollama runs: as declared, and what its Ollama says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fleet.errors import TrialError
from fleet.fingerprint.facts import facts
from fleet.model.machine import OVER_NETWORK, EngineFacts, Fact, FactValue
from fleet.ports import Clock

UNSEEN = "fleet does not run on this machine: measured over the network"
UNKNOWN = (
    *("chip", "gpu", "memory_gb", "os", "os_version"),
    *("power_source", "power_mode", "thermal_class", "engine_environment"),
)
"""Facts that every other machine tells; here they are as declared, or unknown with this reason."""


class EndpointProbe:
    """Asks an Ollama for its version, and times the answer.

    The time is an upper bound of the round trip: it holds the opening of a connection and the work
    of the server. `declared`: facts by name, as its owner wrote them.
    """

    name = "endpoint"
    tells = frozenset({"engine", "engine_version", *UNKNOWN})

    def __init__(
        self,
        declared: Mapping[str, FactValue],
        engine: Callable[[], EngineFacts],
        clock: Clock,
    ) -> None:
        self._declared, self._engine, self._clock = declared, engine, clock

    def available(self) -> bool:
        return True

    def collect(self) -> Sequence[Fact]:
        unknown = {name: None for name in UNKNOWN if name not in self._declared}
        return [
            *facts("declared", self._declared),
            *facts("endpoint", unknown, UNSEEN),
            *facts("endpoint", {"measured_over": OVER_NETWORK}),
            *self._of_engine(),
        ]

    def _of_engine(self) -> list[Fact]:
        began_ns = self._clock.monotonic_ns()
        try:
            engine = self._engine()
        except TrialError as problem:
            silent = dict.fromkeys(("engine", "engine_version", "round_trip_ns"))
            return facts("engine", silent, problem.what)
        took_ns = self._clock.monotonic_ns() - began_ns
        known = {"engine": engine.kind, "engine_version": engine.version}
        return facts("engine", {**known, "round_trip_ns": took_ns})
