"""Every seam on one page: what the domain asks of the world, and who answers.

| Seam | Real sides |
|---|---|
| Engine | engines.ollama, engines.embedded, engines.simulated |
| FactProbe | fingerprint.host, .apple, .nvidia, .amd, .engine, .load, .simulated |
| Setting | settings.wired_limit, settings.simulated |
| EngineHost | engines.ollama.own_server, engines.simulated.host |
| TelemetryProbe | telemetry.host, .apple, .nvidia, .amd, .simulated, .replay |
| Commands | commands.System; recorded outputs in the tests |
| Store | store.parquet |
| Dispatcher | dispatch.local, dispatch.ray |
| Clock | clock.SystemClock; a stepped one in the tests |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fleet.model.event import Event
from fleet.model.gates import Resident
from fleet.model.machine import EngineFacts, Fact, Machine, ModelFacts
from fleet.model.measure import Ask, Placement, Reply, TrialResult
from fleet.model.settings import Value
from fleet.model.trial import Attempt

Say = Callable[[str], None]


class Stop(Protocol):
    """Set from another thread to end work early (`threading.Event` is one)."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    def unix_ns(self) -> int: ...

    def monotonic_ns(self) -> int:
        """The clock that every stamp uses; stands still while the machine sleeps."""
        ...

    def suspended_ns(self) -> int:
        """How long the machine has slept since it booted; only differences mean anything."""
        ...

    def sleep(self, seconds: float, stop: Stop) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command printed. `code` None: it could not be started or ran past its deadline."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def late(self) -> bool:
        """It ran past its deadline."""
        return self.code is None and "timed out" in self.stderr


class Commands(Protocol):
    """Runs read-only commands and reads files that the kernel makes."""

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        """Never raises: a missing program is an Output with code None."""
        ...

    def read(self, path: str) -> str | None:
        """Text of a file, None where it cannot be read."""
        ...


class FactProbe(Protocol):
    """Reads facts, never changes anything; a fact not to be had is a Fact with value None."""

    name: str
    tells: frozenset[str]
    """Facts that are unknown where the probe does not come back."""

    def available(self) -> bool: ...
    def collect(self) -> Sequence[Fact]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value a probe has read; the metric's name ends in its unit.

    Metrics that energy is computed from are `SCOPE_energy_joules`, a total that only grows, and
    `SCOPE_power_w`; SCOPE says what is measured: gpu_board, chip_package, cpu_package, system
    (all behind the power supply) or wall.
    """

    metric: str
    value: float | None
    """None: the machine cannot tell; `source` says why."""
    source: str
    at_ns: int | None = None
    """Monotonic time it is true of; None: the time of the reading."""


class TelemetryProbe(Protocol):
    """Reads values over time, never changes anything. One thread at a time calls it."""

    name: str
    pace: Literal["power", "state", "stream"]
    """Which of the cadences it is read at; stream: `read` itself waits for what comes next."""

    def available(self) -> bool: ...

    def read(self) -> Sequence[Sample]:
        """Whatever it raises becomes a gap with that reason. Begins anew after `close`."""
        ...

    def close(self) -> None:
        """Ends what `read` has started; called after each trial."""
        ...


class Engine(Protocol):
    """One engine on one machine. Calls block; errors are TrialErrors of `fleet.errors`."""

    def facts(self) -> EngineFacts:
        """Raises EngineUnreachable where nothing answers."""
        ...

    def models(self) -> Sequence[ModelFacts]: ...

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        """Fetch the model where it is absent; the digest is read back from the engine."""
        ...

    def describe(self, model: str) -> ModelFacts:
        """Everything known of one model that is there; raises ModelMissing."""
        ...

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        """Load with these load options; it stays loaded until `unload`."""
        ...

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        """Ask once and stamp every chunk on arrival.

        A failure after the request was sent is a Reply with `error` and `error_reason`, so
        that what had arrived is kept. A set `stop` ends the answer within 0.5 s and raises
        Interrupted.
        """
        ...

    def placement(self, model: str) -> Placement | None:
        """Where the loaded model lies; None where the engine cannot tell."""
        ...

    def resident(self) -> Sequence[Resident]:
        """Models in memory, whoever loaded them; those of fleet's own process are none."""
        ...

    def unload(self, model: str) -> None:
        """Returns when the model is out of memory; not loaded is no error."""
        ...

    def close(self) -> None:
        """Ends whatever this object started."""
        ...


class Setting(Protocol):
    """One number of the operating system that a trial may change; errors are SettingFailed."""

    name: str

    def refusal(self) -> str:
        """Empty where fleet may change it here; else why not, and the command that allows it."""
        ...

    def current(self) -> int: ...

    def apply(self, value: int) -> None: ...

    def verify(self, value: int) -> None:
        """Reads anew, and not through what `apply` spoke to."""
        ...

    def restore(self, before: int) -> None:
        """As it was; also where `apply` failed half way, or was never called."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEngine:
    """An engine that fleet started beside the owner's, and what it said of itself at its start."""

    engine: Engine
    environment: Mapping[str, str]
    gpu_limit_mb: int | None
    """As precise as the engine tells it."""
    gpu_limit_step_mb: int = 0
    """The limit is known to this much."""
    close: Callable[[], None]


class EngineHost(Protocol):
    """Starts engines of fleet's own: nothing of the owner's is touched."""

    def refusal(self) -> str:
        """Empty where it can start one here; else why not, and the hint."""
        ...

    def wait_until_free(self, stop: Stop) -> None:
        """Until nothing of the owner's is in memory; raises SettingFailed, or Interrupted."""
        ...

    def start(self, environment: Mapping[str, str], attempt_id: str, stop: Stop) -> OwnEngine:
        """It looks at the machine's limits anew; raises SettingFailed, or Interrupted.

        It ends with `close`, and also when this process dies.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What a trial is measured with: the engine to ask, and what was applied for it."""

    engine: Engine
    restarted: bool = False
    wired_limit_mb: int | None = None
    gpu_limit_mb: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """What the store knows of one attempt, as far as `finished` must know."""

    trial_id: str
    fence: int
    outcome: str
    transient: bool
    reason: str
    state: Mapping[str, str | int | float | None]
    """The columns of the pooling key that are measured again where they have changed."""
    duration_ns: int


class Store(Protocol):
    def write(self, result: TrialResult) -> None:
        """Durable on return; writing the same attempt again changes nothing.

        Raises Unstorable for a result that it can never hold.
        """
        ...

    def attempts(self, experiment: str) -> Sequence[PastAttempt]:
        """Every attempt of one experiment, imported ones left out."""
        ...


class Worker(Protocol):
    """What a dispatcher carries to a machine and talks to there; `fleet.worker` is the one side.

    `drop`, `acknowledge` and `stop` may be called from another thread while `run` goes on.
    """

    def look(self) -> Machine: ...

    def reserve(self, experiment: str) -> str:
        """Take this machine for one experiment until `release` or `close`.

        Empty: it is taken. Else who has it, in words; nothing waits here.
        """
        ...

    def release(self) -> None: ...

    def prepare(self, models: Sequence[str]) -> Iterator[Event]:
        """Pull what is absent; ends with Prepared or Failed. A ModelRefused before it leaves out
        one model alone."""
        ...

    def run(self, attempts: Sequence[Attempt]) -> Iterator[Event]:
        """Results still spooled from an earlier run first, then each attempt in order."""
        ...

    def drop(self, trial_ids: Sequence[str]) -> None: ...
    def acknowledge(self, attempt_id: str) -> None: ...

    def stop(self) -> None:
        """The running trial ends as cancelled within 0.5 s; those after it are not begun."""
        ...

    def close(self) -> None: ...


class Dispatcher(Protocol):
    """Carries trials to workers and events back; one worker per machine."""

    @property
    def absent(self) -> Mapping[str, str]:
        """Name of each machine that was to be looked at and told nothing, and why."""
        ...

    def joined(self) -> Sequence[str]:
        """Names of the machines that could be taken now, were they free."""
        ...

    def take(self, names: Collection[str], promised: Mapping[str, str]) -> Mapping[str, str]:
        """Take these machines, all or none, for as long as this dispatcher is open.

        The answer is empty where all are taken; else it names those that others have, and who.
        `promised`: machines that others wait for and that come first, in the same form.
        """
        ...

    def borrow(self, names: Collection[str]) -> Mapping[str, str]:
        """Take those of these machines that are free, for one look; the answer is as of `take`."""
        ...

    def machines(self) -> Sequence[Machine]:
        """What the machines taken are at this moment; those of them that answer."""
        ...

    def keep(self, machine_ids: Collection[str]) -> None:
        """Give every other machine back, for other experiments."""
        ...

    def prepare(self, models: Mapping[str, Sequence[str]]) -> Iterator[Event]:
        """Per machine id: pull what is absent. Ends each machine with Prepared or Failed."""
        ...

    def run(self, queues: Mapping[str, Iterable[Attempt]]) -> Iterator[Event]:
        """Each machine id works through its queue in order, all machines at once."""
        ...

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        """Take trials that have not begun out of the queue of a running machine."""
        ...

    def acknowledge(self, machine_id: str, attempt_id: str) -> None:
        """The result is stored: the node may forget its spooled copy."""
        ...

    def cancel(self) -> None:
        """Stop what runs now; `run` ends within 2 s, cancelled trials as results."""
        ...

    def close(self) -> None: ...
