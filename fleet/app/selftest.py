"""The self-test: an engine of known timing is measured, and every figure checked against it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet import folders, wiring
from fleet.app.home import Home
from fleet.app.interrupts import interruptible
from fleet.app.options import Options
from fleet.app.selftest_checks import Accuracy, FlagCount, Pair, accuracies, clean, paired, raised
from fleet.app.selftest_stages import QUICK, Size, Stage, asleep, log_file, stages, stepped
from fleet.app.submit import submit
from fleet.clock import SystemClock
from fleet.engines.simulated.ground_truth import read
from fleet.errors import FleetError, Interrupted, StoreUnusable
from fleet.model.event import Event, Failed, Finished, Lost
from fleet.model.trial import Attempt
from fleet.plan.expand import Plan, Redo, expand
from fleet.ports import Clock, Say
from fleet.query.open_store import Row, open_store, rows
from fleet.query.views import question
from fleet.units import NS_PER_S
from fleet.worker import NodeWorker

ASLEEP = 100
"""Seconds of sleep for each one awake."""
STEP_NS = 2 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestReport:
    """What the self-test found."""

    accuracy: tuple[Accuracy, ...]
    flags: tuple[FlagCount, ...]
    clean_requests: int
    clean_flagged: int
    requests: int
    seconds: float
    load: float
    """Load of the machine over the last minute: a busy machine is sometimes late."""
    cores: int

    @property
    def ok(self) -> bool:
        """Whether everything is reported as it happened."""
        right = all(each.ok for each in self.accuracy) and all(each.ok for each in self.flags)
        return right and not self.clean_flagged


def selftest(say: Say, size: Size = QUICK) -> SelftestReport:
    """Run the self-test in a home of its own, which is removed at the end."""
    began = time.monotonic()
    with _folder() as folder:
        usual = stages(size, folder)
        clocks: dict[int, Clock] = {len(usual): _SleepyClock(), len(usual) + 1: _SteppingClock()}
        every = (*usual, asleep(folder), stepped(folder))
        for number, stage in enumerate(every):
            say(f"{number + 1}/{len(every)}  {stage.says}")
            if number in clocks:
                _measure_here(stage, folder, clocks[number])
            else:
                _measure(stage, folder, say)
        return _report(every, folder, began)


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder that is removed, whatever ends the test."""
    try:
        place = tempfile.TemporaryDirectory(prefix="fleet-selftest-", ignore_cleanup_errors=True)
    except OSError as problem:
        what = f"the self-test cannot write its files: {problem}"
        raise StoreUnusable(what, "name a folder with free space: TMPDIR=FOLDER") from None
    try:
        with place as folder:
            yield Path(folder)
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted("the self-test was stopped; it leaves nothing behind") from None


def _measure(stage: Stage, home: Path, say: Say) -> None:
    talk = _Quiet(say)
    if submit(stage.request, Options(home=home, yes=True), talk) != 0:
        name = stage.request.experiment.name
        raise FleetError(f"{name}: the simulated engine could not be measured: {talk.last}")


class _Quiet:
    """Keeps only what went wrong of all that a submission reports."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.last = "no reason given"

    def home(self, folder: Path) -> None: ...

    def say(self, text: str) -> None:
        self.last = text

    def planned(self, plan: Plan, trials: int, finished: int) -> None: ...

    def confirm(self, redo: Sequence[Redo]) -> bool:
        return True

    def began(self, plan: Plan, queues: dict[str, int]) -> None: ...

    def event(self, event: Event) -> None:
        if isinstance(event, (Failed, Lost)):
            self.last = event.what
        elif isinstance(event, Finished) and event.result.outcome == "failed":
            self.last = event.result.detail

    def not_needed(self, machine_id: str, trials: int, why: str) -> None: ...

    def columns(self) -> int | None:
        return None

    def answer(self, lines: Sequence[str]) -> None: ...


class _SleepyClock(SystemClock):
    """The system's clock on a machine that has slept most of the time."""

    def __init__(self) -> None:
        self._began_ns = self.monotonic_ns()

    def suspended_ns(self) -> int:
        return ASLEEP * (self.monotonic_ns() - self._began_ns)

    def unix_ns(self) -> int:
        """Let the wall clock run on during sleep, since sleep is no step."""
        return super().unix_ns() + self.suspended_ns()


class _SteppingClock(SystemClock):
    """The system's clock, set forward by two seconds each time it is read."""

    def __init__(self) -> None:
        self._stepped_ns = 0

    def unix_ns(self) -> int:
        self._stepped_ns += STEP_NS
        return super().unix_ns() + self._stepped_ns


def _measure_here(stage: Stage, home: Path, clock: Clock) -> None:
    """Run the usual worker in this process, where it can be given another clock."""
    (name,) = stage.scripts()
    engine = stage.request.experiment.engine
    spec = wiring.WorkerSpec(engine=engine, name=name, state=str(home))
    store = Home(home).store
    with closing(NodeWorker(spec, clock=clock)) as worker:
        trials = expand(stage.request, [worker.look()]).trials()
        for event in worker.run([Attempt(trial=trial, fence=0) for trial in trials]):
            if isinstance(event, Finished):
                store.write(event.result)


def _report(stages: Sequence[Stage], folder: Path, began: float) -> SelftestReport:
    pairs = _pairs(stages, folder)
    injected = {machine: fault for stage in stages for machine, fault in stage.injected.items()}
    speeds = {place: speed for stage in stages for place, speed in stage.speeds.items()}
    clean_requests, clean_flagged = clean(injected, pairs)
    return SelftestReport(
        accuracy=tuple(accuracies(speeds, pairs)),
        flags=tuple(raised(injected, pairs)),
        clean_requests=clean_requests,
        clean_flagged=clean_flagged,
        requests=sum(map(len, pairs.values())),
        seconds=time.monotonic() - began,
        load=os.getloadavg()[0],
        cores=os.cpu_count() or 1,
    )


@interruptible()
def _pairs(stages: Sequence[Stage], folder: Path) -> dict[str, list[Pair]]:
    with closing(open_store([folders.results_folder(folder)])) as con:
        reported = rows(con, question("selftest"))
    of_machine: dict[str, list[Row]] = {}
    for row in reported:
        of_machine.setdefault(str(row["machine"]), []).append(row)
    machines = [machine for stage in stages for machine in stage.scripts()]
    return {
        machine: paired(machine, of_machine.get(machine, []), list(read(log_file(folder, machine))))
        for machine in machines
    }
