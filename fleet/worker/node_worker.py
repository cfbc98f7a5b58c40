"""What runs on a node: looks at the machine, makes models ready, measures trial by trial.

Started by the local dispatcher as a process of its own (`python -m fleet.worker`) and by the
Ray dispatcher as an actor. It imports no duckdb, typer, rich or altair.
"""

from __future__ import annotations

import queue
import shutil
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from fleet import folders, wiring
from fleet.clock import SystemClock
from fleet.errors import (
    EngineBusy,
    EngineNotRestarted,
    EngineUnreachable,
    Interrupted,
    SettingFailed,
    StoreUnusable,
    TrialError,
)
from fleet.exclusive import MachineLock, awake
from fleet.model.event import (
    Event,
    Failed,
    Finished,
    Held,
    ModelRefused,
    Prepared,
    Said,
    Started,
)
from fleet.model.machine import EngineFacts, EngineRestart, Machine, ModelFacts, same_model
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt
from fleet.owner.hours import held, minute_of_day, turn
from fleet.page_cache import forget_file
from fleet.plan.stopping import cut
from fleet.ports import Clock, Engine
from fleet.reservation import Reservation
from fleet.runner.cooling import Cooling
from fleet.runner.gates import Gatekeeper, LeftoverModel, Visit
from fleet.runner.trial import run_trial
from fleet.runner.trial_log import not_begun
from fleet.runner.trial_ports import TrialPorts
from fleet.spool import node_spool
from fleet.units import NS_PER_S


class NodeWorker:
    """One side of ports.Worker; one per machine."""

    def __init__(self, spec: wiring.WorkerSpec, *, clock: Clock | None = None) -> None:
        without_command_line_of_httpx()
        state = folders.home_folder(spec.state or None)
        self._node = wiring.node(spec, state)
        self._engine: Engine | None = None
        self._spool = node_spool(state, self._node.machine_id)
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._sampler = wiring.sampler(self._node, self._clock, self._stop)
        self._gates = Gatekeeper(
            self._node.look,
            self._clock,
            self._stop,
            may_evict="restart-ollama" in self._node.allowed,
        )
        self._reservation = Reservation(self._node.machine_id, self._node.name, self._clock)
        self._dropped: set[str] = set()
        self._seconds_seen: dict[tuple[str, str, str, str], float] = {}
        self._news: list[str] = []

    def look(self) -> Machine:
        engine_facts: EngineFacts | None = None
        models: tuple[ModelFacts, ...] = ()
        error, look, words = "", self._node.look, self._node.restart_words
        wrong_address = self._node.wrong_address
        try:
            if wrong_address is not None:
                raise EngineUnreachable(wrong_address.what, wrong_address.hint)
            if self._node.refusal:
                raise SettingFailed(self._node.refusal, "")
            self._put_right()
            engine = self._started_engine()
            engine_facts, models = engine.facts(), tuple(engine.models())
            look = partial(self._gates.look, engine)
        except TrialError as problem:
            error = str(problem)
        return Machine(
            machine_id=self._node.machine_id,
            name=self._node.name,
            fingerprint=look(),
            engine=engine_facts,
            engine_error=error,
            wrong_address=wrong_address is not None,
            models=models,
            free_disk_bytes=free_bytes(Path.home()),
            settable=self._node.settings.settable(),
            restart=EngineRestart() if words is None else words(),
            hours=self._node.hours(),
            minute_of_day=minute_of_day(self._clock.unix_ns() / NS_PER_S),
        )

    def prepare(self, models: Sequence[str]) -> Iterator[Event]:
        ready: list[ModelFacts] = []
        refused: list[ModelRefused] = []
        for model in models:
            try:
                yield from self._pulling(model, ready)
            except (EngineUnreachable, Interrupted) as problem:
                yield self._failed(problem.what, problem.hint)
                return
            except TrialError as problem:
                refused.append(self._refused(model, problem))
        if refused and len(models) == 1:  # without its only model the machine has nothing to do
            yield self._failed(refused[0].what, refused[0].hint)
            return
        yield from refused
        yield Prepared(machine_id=self._node.machine_id, models=tuple(ready))

    def run(self, attempts: Sequence[Attempt]) -> Iterator[Event]:
        recovered = set()
        for result in self._spool.waiting(self._news.append):
            recovered.add(result.attempt_id)
            yield Finished(machine_id=self._node.machine_id, result=result)
        for told in self._news:
            yield self._said(told)
        self._news.clear()
        with awake():
            for attempt in attempts:
                if attempt.attempt_id not in recovered:
                    yield from self._in_its_hours(attempt)

    def reserve(self, experiment: str) -> str:
        return self._reservation.take(experiment)

    def release(self) -> None:
        self._reservation.release()

    def drop(self, trial_ids: Sequence[str]) -> None:
        self._dropped.update(trial_ids)

    def acknowledge(self, attempt_id: str) -> None:
        self._spool.forget(attempt_id)

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        self.release()

    def _put_right(self) -> None:
        """What a worker that was killed left changed; one that measures here does it itself."""
        lock = MachineLock(self._node.machine_id)
        try:
            if not lock.take():
                if self._node.settings.is_changed():
                    raise EngineBusy(
                        "a trial runs here now, and has changed what this machine is",
                        "try again when it has ended: fleet status",
                    )
            elif told := self._node.settings.recover():
                self._news.append(told)
        finally:
            lock.release()

    def _wanted(self, attempt: Attempt) -> bool:
        return not self._stop.is_set() and attempt.trial.trial_id not in self._dropped

    def _bounded(self, attempt: Attempt) -> Attempt:
        """A cell that runs far over its estimate is asked less from here on; its rows say so."""
        seconds = self._seconds_seen.get(attempt.trial.cell(), 0.0)
        return replace(attempt, trial=cut(attempt.trial, seconds))

    def _seconds(self, attempt: Attempt) -> float:
        return self._seconds_seen.get(attempt.trial.cell(), attempt.trial.estimate_s)

    def _may_begin(self, attempt: Attempt) -> bool:
        hours, now_s = self._node.hours(), self._clock.unix_ns() / NS_PER_S
        return hours is None or turn(hours, now_s, self._seconds(attempt)).begins

    def _in_its_hours(self, attempt: Attempt) -> Iterator[Event]:
        """Another fleet may measure here while this one waits for the machine's hours."""
        seconds = self._seconds(attempt)
        wanted, begun = partial(self._wanted, attempt), False
        while wanted() and not begun:
            for why in held(self._node.hours, seconds, self._clock, self._stop, wanted):
                yield self._held(attempt, why)
            if wanted():
                begun = yield from self._measured(self._bounded(attempt))

    def _measured(self, attempt: Attempt) -> Generator[Event, None, bool]:
        """False: it waited for something else, so the machine's hours are to be asked again."""
        lock = MachineLock(self._node.machine_id)
        try:
            if not lock.take():
                yield self._held(attempt, "waiting: another fleet is measuring on this machine")
                lock.wait(self._stop)
                return False
            result = yield from self._measure(attempt, lock)
            if result is None:
                return False
            self._seconds_seen[attempt.trial.cell()] = result.duration_ns / NS_PER_S
        finally:
            lock.release()
        if result.outcome == "cancelled" and not self._stop.is_set():
            return True  # it was dropped while it was held
        yield Finished(machine_id=self._node.machine_id, result=result)
        return True

    def _measure(
        self, attempt: Attempt, lock: MachineLock
    ) -> Generator[Event, None, TrialResult | None]:
        """Durable before it is handed over; a cancelled attempt leaves nothing behind.

        None: while it was held the machine's hours ended.
        """
        visit: Visit | None = None
        try:
            cooled_ns = yield from self._cooled(attempt)
            visit = self._visit(attempt, lock)
            for told in self._gates.hold(visit):
                yield self._held(attempt, told)
            if visit.held_ns and not self._may_begin(attempt):
                return None
            restarted = self._restarted(visit)
            if self._node.begin is not None:
                self._node.begin(visit.engine, attempt.attempt_id)
        except (TrialError, Interrupted) as problem:
            result = not_begun(attempt, problem, self._clock)
        else:
            yield Started(machine_id=self._node.machine_id, attempt=attempt)
            measured = self._measured_under_note(attempt, visit, lock)
            for told in self._node.news():
                yield self._said(told)
            anew = restarted or measured.engine_restarted
            result = replace(measured, cooled_ns=cooled_ns, engine_restarted=anew)
        if visit is not None:
            result = visit.judged(result)
        if result.outcome != "cancelled":
            self._keep(result)
        return result

    def _visit(self, attempt: Attempt, lock: MachineLock) -> Visit:
        return Visit(
            trial=attempt.trial,
            engine=self._started_engine(),
            own_engine=self._node.settings.needs_own_engine(attempt.trial.settings),
            is_wanted=partial(self._wanted, attempt),
            leftover=LeftoverModel.noted(lock.noted()),
        )

    def _measured_under_note(
        self, attempt: Attempt, visit: Visit, lock: MachineLock
    ) -> TrialResult:
        """What is cut off here leaves its model in memory, and this note of it."""
        if not visit.own_engine and not visit.uses_loaded:
            lock.note(f"{self._clock.unix_ns()} {attempt.trial.model}")
        result = run_trial(attempt, self._place(visit))
        if result.outcome == "ok" or (result.outcome == "failed" and not _is_held(visit)):
            lock.note("")
        return result

    def _restarted(self, visit: Visit) -> bool:
        """Then the machine is looked at anew: the engine may be another version.

        An engine of fleet's own is new by itself, and the owner's beside it stays as it is.
        """
        if not visit.trial.restart_engine or visit.own_engine:
            return False
        if self._node.restart is None:
            raise EngineNotRestarted("fleet may not restart this engine", "why not: fleet doctor")
        self._engine = visit.engine = self._node.restart(visit.engine)
        visit.engine.facts()
        visit.fingerprint = self._gates.look(visit.owners)
        return True

    def _cooled(self, attempt: Attempt) -> Generator[Event, None, int | None]:
        wanted = attempt.trial.cool_down
        if wanted is None:
            return None
        cooling = Cooling(wanted, self._node.look, self._clock, self._stop)
        for why in cooling.wait():
            yield self._held(attempt, why)
        if self._stop.is_set():
            raise Interrupted("stopped while the machine cooled down")
        return cooling.waited_ns

    def _place(self, visit: Visit) -> TrialPorts:
        return TrialPorts(
            visit.engine,
            partial(self._gates.look, visit.owners),
            self._clock,
            self._stop,
            applied=self._node.settings.applied,
            forget_file=forget_file,
            sampling=self._sampler.sampling,
            fingerprint=visit.fingerprint,
        )

    def _keep(self, result: TrialResult) -> None:
        try:
            self._spool.put(result)
        except OSError as problem:
            what = f"{self._spool.folder}: the result cannot be kept: {problem.strerror}"
            raise StoreUnusable(what, f"see what is full: df -h {self._spool.folder}") from None

    def _pulling(self, model: str, ready: list[ModelFacts]) -> Iterator[Event]:
        """The pull runs beside, so that its progress can be told while it goes on."""
        said: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def pull() -> ModelFacts:
            try:
                return self._started_engine().pull(model, said.put, self._stop)
            finally:
                said.put(None)

        with ThreadPoolExecutor(max_workers=1) as pool:
            pulled = pool.submit(pull)
            while (text := said.get()) is not None:
                yield self._said(text)
            ready.append(pulled.result())

    def _failed(self, what: str, hint: str) -> Failed:
        return Failed(machine_id=self._node.machine_id, what=what, hint=hint)

    def _refused(self, model: str, problem: TrialError) -> ModelRefused:
        return ModelRefused(
            machine_id=self._node.machine_id, model=model, what=problem.what, hint=problem.hint
        )

    def _said(self, text: str) -> Said:
        return Said(machine_id=self._node.machine_id, text=text)

    def _held(self, attempt: Attempt, why: str) -> Held:
        return Held(machine_id=self._node.machine_id, attempt=attempt, why=why)

    def _started_engine(self) -> Engine:
        if self._engine is None:
            self._engine = self._node.make_engine()
        return self._engine


def _is_held(visit: Visit) -> bool:
    """Whether the model of a trial that failed may still be in memory, where it is fleet's own."""
    try:
        held = visit.engine.resident()
    except TrialError:
        return True
    return any(same_model(model.name, visit.trial.model) for model in held)


def free_bytes(folder: Path) -> int | None:
    """None where the folder is not there."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def without_command_line_of_httpx() -> None:
    """Importing httpx imports rich for a command line of its own; it does without where told so."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
