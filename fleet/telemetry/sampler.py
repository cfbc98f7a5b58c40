"""Read probes at a fixed cadence while a trial runs, each in a thread of its own.

A probe that fails or hangs leaves a gap with its reason, and delays neither another probe nor the
trial. The readings include the CPU time of the sampling itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from fleet.model.experiment import Telemetry
from fleet.model.measure import Reading
from fleet.model.quantities import reading_problem
from fleet.model.trial import Trial
from fleet.ports import Clock, Sample, Stop, TelemetryProbe
from fleet.units import NS_PER_S

Some = TypeVar("Some")

STOP_S = 0.4
"""A cancelled trial ends within 0.5 s, and a probe that hangs must not delay that."""
LOOK_S = 10.0
"""A GPU's driver may start at the first call, which takes seconds."""
LOOK_STEP_S = 0.1
RETRY_NS = NS_PER_S
"""A broken stream is started again after this time."""
IDLE_WINDOW = "idle_window_s"
"""A metric whose value is the length of the idle window, and whose offset is its beginning."""
OWN_COST = "sampler_cpu_s"


def next_due_ns(due_ns: int, period_ns: int, now_ns: int) -> int:
    """Return the next future time on the grid of `due_ns`; missed times stay missed."""
    return due_ns + period_ns * max((now_ns - due_ns) // period_ns + 1, 1)


class Sampler:
    """Samples the probes of one machine; `sampling` is entered once per trial."""

    def __init__(
        self,
        make_probes: Callable[[Telemetry], Sequence[TelemetryProbe]],
        clock: Clock,
        stop: Stop,
    ) -> None:
        self._make_probes = make_probes
        self._clock = clock
        self._stop = stop
        self._settings: Telemetry | None = None
        self._lines: list[_Line] = []

    @contextmanager
    def sampling(self, trial: Trial, zero_ns: int, into: list[Reading]) -> Iterator[None]:
        """Add readings with offsets from the zero to `into`, also if the trial fails.

        If power can be read, a window without work comes first, marked as IDLE_WINDOW.
        """
        if trial.telemetry is None:
            yield
            return
        self._prepare(trial.telemetry)
        runs = [_ProbeRun(line, self._clock, zero_ns) for line in self._lines]
        for run in runs:
            run.start()
        try:
            self._idle(trial.telemetry.idle_s, zero_ns, into)
            yield
        finally:
            into.extend(_ended(runs))

    def _prepare(self, settings: Telemetry) -> None:
        """Look once which probes can read anything here."""
        if settings == self._settings:
            return
        periods_s = {"power": settings.power_s, "state": settings.state_s, "stream": 0.0}
        lines = [
            _Line(probe, round(periods_s[probe.pace] * NS_PER_S))
            for probe in self._make_probes(settings)
        ]
        self._lines, self._settings = _available(lines, self._stop), settings

    def _idle(self, seconds: float, zero_ns: int, into: list[Reading]) -> None:
        if seconds == 0 or not any(line.tells_power for line in self._lines):
            return
        began_ns = self._clock.monotonic_ns()
        self._clock.sleep(seconds, self._stop)
        lasted_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_S
        into.append(
            Reading(
                offset_ns=began_ns - zero_ns, metric=IDLE_WINDOW, source="fleet", value=lasted_s
            )
        )


def possible(sample: Sample) -> Sample:
    """Return the sample; a physically impossible value becomes None with the reason."""
    problem = "" if sample.value is None else reading_problem(sample.metric, sample.value)
    return replace(sample, value=None, source=f"{sample.source}: {problem}") if problem else sample


@dataclass(slots=True, eq=False)
class _Line:
    """One probe of this machine, over all trials."""

    probe: TelemetryProbe
    period_ns: int
    thread: threading.Thread | None = None
    """The thread that calls the probe, or called it last."""

    @property
    def tells_power(self) -> bool:
        return self.probe.pace != "state"

    @property
    def busy(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


def _available(lines: Sequence[_Line], stop: Stop) -> list[_Line]:
    """Return the available probes, with those that fail or hang, which leave a gap later."""
    available: set[int] = set()

    def look(line: _Line) -> None:
        try:
            if line.probe.available():
                available.add(id(line))
        except Exception:  # noqa: BLE001
            available.add(id(line))  # the first reading reports what is wrong

    for line in lines:
        line.thread = threading.Thread(target=look, args=(line,), daemon=True)
        line.thread.start()
    end = time.monotonic() + LOOK_S
    while any(line.busy for line in lines) and time.monotonic() < end and not stop.is_set():
        _join(lines, LOOK_STEP_S)
    return [line for line in lines if id(line) in available or line.busy]


def _join(lines: Iterable[_Line], seconds: float) -> None:
    end = time.monotonic() + seconds
    for line in lines:
        if line.thread is not None:
            line.thread.join(max(end - time.monotonic(), 0))


def _ended(runs: Sequence[_ProbeRun]) -> list[Reading]:
    for run in runs:
        run.stopped.set()
    _join([run.line for run in runs], STOP_S)
    return [reading for run in runs for reading in run.result()]


@dataclass(slots=True, eq=False)
class _ProbeRun:
    """One probe during one trial."""

    line: _Line
    clock: Clock
    zero_ns: int
    stopped: threading.Event = field(default_factory=threading.Event)
    readings: list[Reading] = field(default_factory=list)
    in_probe_since_ns: int | None = None
    left_out: bool = False
    absent: dict[str, str] = field(default_factory=dict)
    """Metric and reason of each value that was missing at the last reading."""

    def start(self) -> None:
        """Start reading, unless the probe still hangs from an earlier trial."""
        self.left_out = self.line.busy
        if self.left_out:
            self._keep([self._gap("has not answered since an earlier call")])
            return
        self.line.thread = threading.Thread(
            target=self._run, name=f"telemetry {self.line.probe.name}", daemon=True
        )
        self.line.thread.start()

    def result(self) -> list[Reading]:
        """Return a copy of the readings, since the thread may still hang after its time to end."""
        since_ns = self.in_probe_since_ns
        if not self.left_out and self.line.busy and since_ns is not None:
            waited_s = (self.clock.monotonic_ns() - since_ns) / NS_PER_S
            self._keep([self._gap(f"no answer for {waited_s:.1f} s")], since_ns)
        return list(self.readings)

    def _run(self) -> None:
        began_s = time.thread_time()
        due_ns, period_ns = self.clock.monotonic_ns(), self.line.period_ns
        while not self.stopped.is_set():
            answered = self._take()
            if answered and not period_ns:
                continue  # a stream has its own cadence
            now_ns = self.clock.monotonic_ns()
            due_ns = next_due_ns(due_ns, period_ns or RETRY_NS, now_ns)
            self.clock.sleep((due_ns - now_ns) / NS_PER_S, self.stopped)
        if period_ns:
            self._take()  # so that the last request is covered to its end
        self._guarded(self.line.probe.close)
        spent_s = time.thread_time() - began_s
        self._keep([Sample(metric=OWN_COST, value=spent_s, source=self.line.probe.name)])

    def _take(self) -> bool:
        """Read once; return False if the probe failed."""
        before_ns = self.clock.monotonic_ns()
        self.in_probe_since_ns = before_ns
        samples = self._guarded(self.line.probe.read)
        self.in_probe_since_ns = None
        if samples is not None:
            self.absent.pop(self._gap_metric, None)
            self._keep(samples, (before_ns + self.clock.monotonic_ns()) // 2)
        return samples is not None

    def _guarded(self, call: Callable[[], Some]) -> Some | None:
        """Call the probe; an exception becomes a gap, since no probe may end a trial."""
        try:
            return call()
        except Exception as problem:  # noqa: BLE001
            self._keep([self._gap(str(problem) or type(problem).__name__)])
            return None

    def _keep(self, samples: Iterable[Sample], at_ns: int | None = None) -> None:
        """Keep samples; of missing values only the first in a row is kept."""
        read_ns = self.clock.monotonic_ns() if at_ns is None else at_ns
        for sample in map(possible, samples):
            if sample.value is None and self.absent.get(sample.metric) == sample.source:
                continue
            if sample.value is None:
                self.absent[sample.metric] = sample.source
            else:
                self.absent.pop(sample.metric, None)
            stamp_ns = read_ns if sample.at_ns is None else sample.at_ns
            self.readings.append(
                Reading(
                    offset_ns=stamp_ns - self.zero_ns,
                    metric=sample.metric,
                    source=sample.source,
                    value=sample.value,
                )
            )

    def _gap(self, reason: str) -> Sample:
        return Sample(metric=self._gap_metric, value=None, source=reason)

    @property
    def _gap_metric(self) -> str:
        return f"{self.line.probe.name}_gap"
