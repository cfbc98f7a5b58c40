"""The servers of one scripted machine: its owner's, and one of fleet's own while a trial runs."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress

from fleet.engines.simulated.engine import Simulated
from fleet.errors import EngineUnreachable
from fleet.identity import content_id
from fleet.model.machine import EngineProgram
from fleet.model.script import MachineScript, ScriptedProgram
from fleet.ports import Clock, Engine, OwnEngine, Stop


class SimulatedHost:
    """The scripted side of ports.EngineHost.

    Both servers share one machine: power and heat are those of the server that measures, and the
    other takes over how warm it is and what lies on its disk. `script` is asked anew at each start,
    as an Ollama looks at the machine's limits.
    """

    def __init__(self, script: Callable[[], MachineScript], name: str, clock: Clock) -> None:
        self._script, self._clock = script, clock
        self._seed = zlib.crc32(name.encode())  # machines of one script differ in their noise
        self._owners: Simulated | None = None
        self._own: Simulated | None = None

    def start_owners(self) -> Simulated:
        self._owners = Simulated(self._script(), seed=self._seed, clock=self._clock)
        return self._owners

    def restart_owners(self, engine: Engine) -> Engine:
        if self._owners is not None:
            self._owners.restart()
        return engine

    def begin(self, engine: Engine, attempt_id: str) -> None:
        if self._owners is not None:
            self._owners.begin(attempt_id)

    def power(self) -> tuple[float, float | None]:
        """As `Simulated.power`."""
        return self._measuring().power()

    def thermal_class(self) -> str | None:
        """As `Simulated.thermal_class`; None also before there is a server."""
        try:
            return self._measuring().thermal_class()
        except EngineUnreachable:
            return None

    def refusal(self) -> str:
        return ""

    def wait_until_free(self, stop: Stop) -> None:
        """Nobody else uses a scripted machine."""

    def programs(self) -> Mapping[str, EngineProgram]:
        return {label: _program(label, each) for label, each in self._script().programs.items()}

    def start(
        self, environment: Mapping[str, str], attempt_id: str, stop: Stop, program: str = ""
    ) -> OwnEngine:
        script, programs = self._script(), self.programs()
        if program:
            script = script.running(program)
        noise = zlib.crc32(attempt_id.encode())  # each attempt has its own, the same each time
        self._own = own = Simulated(script, seed=noise, clock=self._clock)
        _hand_over(self._owners, own)
        return OwnEngine(
            engine=own,
            environment=environment,
            gpu_limit_mb=script.gpu_memory_mb,
            program=programs.get(program),
            close=self._close_own,
        )

    def _close_own(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            _hand_over(own, self._owners)
            own.close()

    def _measuring(self) -> Simulated:
        server = self._own or self._owners
        if server is None:
            raise EngineUnreachable("no simulated server was started yet")
        return server


def _program(label: str, scripted: ScriptedProgram) -> EngineProgram:
    content = [label, scripted.model_dump(mode="json")]
    return EngineProgram(
        version=scripted.engine_version, sha256=content_id("scripted-program", content)
    )


def _hand_over(before: Simulated | None, after: Simulated | None) -> None:
    """Give one server's state to the next; a server that has died takes its knowledge with it."""
    if before is not None and after is not None:
        with suppress(EngineUnreachable):
            after.go_on(before.state())
