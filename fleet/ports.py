"""The seams between fleet and the world on one page: what it asks for, and the real sides.

| Seam | Real sides |
|---|---|
| Engine | engines.ollama, engines.embedded, engines.simulated |
| FactProbe | fingerprint.host, .apple, .nvidia, .amd, .engine, .load, .simulated |
| Setting | settings.wired_limit, settings.simulated |
| EngineHost | engines.ollama.own_server, engines.simulated.host |
| TelemetryProbe | telemetry.host, .apple, .nvidia, .amd, .simulated, .replay |
| Commands | commands.System; recorded outputs in the tests |
| ForgetModel | page_cache.forget_files |
| Store | store.parquet |
| Clock | clock.SystemClock; a stepped one in the tests |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fleet.model.gates import Resident
from fleet.model.machine import EngineFacts, EngineProgram, Fact, ModelFacts
from fleet.model.measure import Ask, Placement, Reply, TrialResult
from fleet.model.settings import Value

Say = Callable[[str], None]

ForgetModel = Callable[[ModelFacts], bool]
"""Drop a model's files from the system's page cache; False where some of it may still be there."""


class Stop(Protocol):
    """Set from another thread to end work early; a `threading.Event` is one."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    def unix_ns(self) -> int: ...

    def monotonic_ns(self) -> int:
        """Return the time of all stamps; this clock stands still while the machine sleeps."""
        ...

    def suspended_ns(self) -> int:
        """Return for how long the machine has slept since it booted; only differences count."""
        ...

    def sleep(self, seconds: float, stop: Stop) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The output of a command. `code` None: it did not start, or ran past its deadline."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def late(self) -> bool:
        """True if the command ran past its deadline."""
        return self.code is None and "timed out" in self.stderr


class Commands(Protocol):
    """Runs commands that only read, and reads files that the kernel makes."""

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        """Run a command; a missing program is an Output with code None, not an error."""
        ...

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it cannot be read."""
        ...


class FactProbe(Protocol):
    """Reads facts and changes nothing; a fact that cannot be read is a Fact with value None."""

    name: str
    tells: frozenset[str]
    """The facts that are unknown if the probe does not return."""

    def available(self) -> bool: ...
    def collect(self) -> Sequence[Fact]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value that a probe has read; the metric's name ends in its unit.

    Metrics that energy is computed from are `SCOPE_energy_joules`, a total that only grows, and
    `SCOPE_power_w`; SCOPE says what is measured: gpu_board, chip_package, cpu_package, system
    (all behind the power supply) or wall.
    """

    metric: str
    value: float | None
    """None: the machine cannot give the value; `source` says why."""
    source: str
    at_ns: int | None = None
    """The monotonic time that the value belongs to. None: the time of the reading."""


class TelemetryProbe(Protocol):
    """Reads values over time and changes nothing. One thread at a time calls it."""

    name: str
    pace: Literal["power", "state", "stream"]
    """The cadence of the readings. stream: `read` itself waits for the next value."""

    def available(self) -> bool: ...

    def read(self) -> Sequence[Sample]:
        """Read now. An exception becomes a gap with its message. `read` may follow `close`."""
        ...

    def close(self) -> None:
        """End what `read` has started; called after each trial."""
        ...


class Engine(Protocol):
    """One engine on one machine. Calls block; errors are TrialErrors of `fleet.errors`."""

    def facts(self) -> EngineFacts:
        """Return what the engine is; raise EngineUnreachable if nothing answers."""
        ...

    def models(self) -> Sequence[ModelFacts]: ...

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        """Fetch the model if it is absent; the digest is read back from the engine."""
        ...

    def describe(self, model: str) -> ModelFacts:
        """Return everything known of one model on this machine; raise ModelMissing."""
        ...

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        """Load a model with these options; it stays loaded until `unload`."""
        ...

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        """Send one request, and stamp every chunk on arrival.

        A failure after the request was sent is a Reply with `error` and `error_reason`, which
        keeps what had arrived. A set `stop` ends the answer within 0.5 s and raises
        Interrupted.
        """
        ...

    def placement(self, model: str) -> Placement | None:
        """Return where the loaded model lies, or None if the engine does not report it."""
        ...

    def resident(self) -> Sequence[Resident]:
        """Return the models in memory, whoever loaded them, without those of fleet's process."""
        ...

    def unload(self, model: str) -> None:
        """Return once the model is out of memory, also if it was not loaded."""
        ...

    def close(self) -> None:
        """End whatever this object started."""
        ...


class Setting(Protocol):
    """One number of the operating system that a trial may change; errors are SettingFailed."""

    name: str

    def refusal(self) -> str:
        """Return why fleet may not change it here and what allows it; empty if it may."""
        ...

    def current(self) -> int: ...

    def apply(self, value: int) -> None: ...

    def verify(self, value: int) -> None:
        """Check the value by another way than `apply` took; raise SettingFailed."""
        ...

    def restore(self, before: int) -> None:
        """Put back the earlier value, also if `apply` failed half way or was never called."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEngine:
    """An engine that fleet started beside the owner's, and what it reported at its start."""

    engine: Engine
    environment: Mapping[str, str]
    gpu_limit_mb: int | None
    """The limit, as precisely as the engine reports it."""
    gpu_limit_step_mb: int = 0
    """The limit's precision."""
    program: EngineProgram | None = None
    """The registered program that it runs; None: the owner's own."""
    close: Callable[[], None]


class EngineHost(Protocol):
    """Starts engines of fleet's own, and leaves the owner's alone."""

    def refusal(self) -> str:
        """Return why no engine can be started here, with a hint; empty if one can."""
        ...

    def wait_until_free(self, stop: Stop) -> None:
        """Wait until no model of the owner's is in memory; raise SettingFailed or Interrupted."""
        ...

    def programs(self) -> Mapping[str, EngineProgram]:
        """Look at the programs that the owner registered for the setting `engine_binary`."""
        ...

    def start(
        self, environment: Mapping[str, str], attempt_id: str, stop: Stop, program: str = ""
    ) -> OwnEngine:
        """Start an engine, which reads the machine's limits afresh.

        `program`: the label of a registered one; empty: the owner's own. It ends with `close`, or
        when this process dies. Raises SettingFailed or Interrupted.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The engine that a trial is measured with, and what was applied for it."""

    engine: Engine
    restarted: bool = False
    wired_limit_mb: int | None = None
    gpu_limit_mb: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    program: EngineProgram | None = None
    """The registered program that the trial is measured with; None: the owner's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """What a plan must know of one stored attempt to tell what is left to do."""

    trial_id: str
    fence: int
    outcome: str
    transient: bool
    reason: str
    state: Mapping[str, str | int | float | None]
    """The columns of the pooling key that are measured again where they have changed."""
    duration_ns: int

    @property
    def is_final(self) -> bool:
        """True if the trial is not tried again: it succeeded, or failed for a lasting reason."""
        return self.outcome == "ok" or (self.outcome == "failed" and not self.transient)


class Store(Protocol):
    def write(self, result: TrialResult) -> None:
        """Store a result durably; writing the same attempt again changes nothing.

        Raises Unstorable for a result that the store can never hold.
        """
        ...

    def attempts(self, experiment: str) -> Sequence[PastAttempt]:
        """Return every attempt of one experiment, without imported ones."""
        ...
