"""One attempt on its way through its phases, from the machine's hours to the finished result.

1. Hours: wait until the owner's hours let the trial begin.
2. Machine: wait until no other fleet is measuring on it, then lock it.
3. Cooling: wait until the machine has cooled down, where the experiment asks for that.
4. Gates: wait until the engine answers and the machine is in a state to be measured. If its hours
   end meanwhile, the attempt gives the machine back and begins again with phase 1.
5. Measuring: run the trial, after a restart of the engine where the experiment asks for one.
6. Handing over: keep the result on disk, unlock the machine, and report the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from fleet.errors import EngineNotRestarted, Interrupted, StoreUnusable, TrialError
from fleet.exclusive import MachineLock
from fleet.model.event import Event, Finished, Held, Said, Started
from fleet.model.machine import same_model
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt
from fleet.owner.hours import held
from fleet.runner.cooling import Cooling
from fleet.runner.trial import run_trial
from fleet.runner.trial_log import not_begun
from fleet.runner.visit import LeftoverModel, Visit
from fleet.worker.bench import Bench


class AttemptRun:
    """One attempt, from the wait for its machine to its result."""

    def __init__(self, attempt: Attempt, bench: Bench) -> None:
        self._attempt = attempt
        self._bench = bench
        self._machine_id = bench.node.machine_id
        self._visit: Visit | None = None
        self._cooled_ns: int | None = None
        self._result: TrialResult | None = None

    def events(self) -> Iterator[Event]:
        """Go through the phases; yield what happens in them.

        An attempt that is dropped or stopped before its trial begins yields no result.
        """
        while self._result is None and self._is_wanted():
            yield from self._wait_for_hours()
            if self._is_wanted():
                yield from self._use_machine()
        if self._result is not None:
            yield from self._hand_over(self._result)

    def _wait_for_hours(self) -> Iterator[Event]:
        bench, seconds = self._bench, self._bench.seconds(self._attempt)
        for why in held(bench.node.hours, seconds, bench.clock, bench.stop, self._is_wanted):
            yield self._held(why)

    def _use_machine(self) -> Iterator[Event]:
        """Measure while nobody else can, or wait until another fleet has finished a trial."""
        lock = MachineLock(self._bench.node.locked)
        try:
            if lock.take():
                yield from self._measure(lock)
            else:
                yield self._held("waiting: another fleet is measuring on this machine")
                lock.wait(self._bench.stop)
        finally:
            lock.release()

    def _measure(self, lock: MachineLock) -> Iterator[Event]:
        self._visit = None
        try:
            yield from self._cool_down()
            visit = self._visit = self._begin_visit(lock)
            yield from self._wait_at_gates(visit)
            if visit.held_ns and not self._bench.may_begin(self._attempt):
                return  # the hours ended meanwhile
            restarted = self._restart_engine(visit)
            if self._bench.node.begin is not None:
                self._bench.node.begin(visit.engine, self._attempt.attempt_id)
        except (TrialError, Interrupted) as problem:
            self._keep(not_begun(self._attempt, problem, self._bench.clock))
            return
        self._bench.begin(self._attempt.trial)
        yield Started(machine_id=self._machine_id, attempt=self._attempt)
        result = self._run_trial(visit, lock)
        for text in self._bench.node.news():
            yield Said(machine_id=self._machine_id, text=text)
        self._keep(replace(result, engine_restarted=restarted or result.engine_restarted))

    def _cool_down(self) -> Iterator[Event]:
        rule, bench = self._attempt.trial.cool_down, self._bench
        if rule is None:
            return
        cooling = Cooling(rule, bench.node.look, bench.clock, bench.stop)
        for why in cooling.wait():
            yield self._held(why)
        if bench.stop.is_set():
            raise Interrupted("stopped while the machine was cooling down")
        self._cooled_ns = cooling.waited_ns

    def _begin_visit(self, lock: MachineLock) -> Visit:
        trial = self._attempt.trial
        return Visit(
            trial=trial,
            engine=self._bench.engine(),
            own_engine=self._bench.node.settings.needs_own_engine(trial.settings),
            is_wanted=self._is_wanted,
            leftover=LeftoverModel.noted(lock.noted()),
        )

    def _wait_at_gates(self, visit: Visit) -> Iterator[Event]:
        for why in chain(self._bench.engine_watch.wait(visit), self._bench.gates.hold(visit)):
            yield self._held(why)

    def _restart_engine(self, visit: Visit) -> bool:
        """Restart the engine if the trial asks for it, and look at the machine again.

        An engine that fleet starts for one trial is fresh anyway, and the owner's beside it is
        left alone.
        """
        if not visit.trial.restart_engine or visit.own_engine:
            return False
        if self._bench.node.restart is None:
            raise EngineNotRestarted("fleet may not restart this engine", "why not: fleet doctor")
        visit.engine = self._bench.node.restart(visit.engine)
        self._bench.replace_engine(visit.engine)
        visit.engine.facts()
        visit.fingerprint = self._bench.look(visit)
        return True

    def _run_trial(self, visit: Visit, lock: MachineLock) -> TrialResult:
        """Run the trial; the lock's note names its model, should a crash leave that in memory."""
        if not visit.own_engine and not visit.uses_loaded:
            lock.note(f"{self._bench.clock.unix_ns()} {visit.trial.model}")
        result = run_trial(self._attempt, self._bench.trial_ports(visit))
        if result.outcome == "ok" or (result.outcome == "failed" and not _in_memory(visit)):
            lock.note("")
        return replace(result, cooled_ns=self._cooled_ns)

    def _keep(self, result: TrialResult) -> None:
        """End the attempt with this result, on disk before anybody hears of it.

        A cancelled attempt leaves nothing on disk.
        """
        if self._visit is not None:
            result = self._visit.judged(result)
        spool = self._bench.spool
        try:
            if result.outcome != "cancelled":
                spool.put(result)
        except OSError as problem:
            what = f"{spool.folder}: the result cannot be kept: {problem.strerror}"
            raise StoreUnusable(what, f"see what is full: df -h {spool.folder}") from None
        self._bench.note_duration(result)
        self._result = result

    def _hand_over(self, result: TrialResult) -> Iterator[Event]:
        """Report the result, except of a trial that was dropped while it was waiting."""
        if result.outcome != "cancelled" or self._bench.stop.is_set():
            yield Finished(machine_id=self._machine_id, result=result)

    def _is_wanted(self) -> bool:
        return self._bench.is_wanted(self._attempt)

    def _held(self, why: str) -> Held:
        return Held(machine_id=self._machine_id, attempt=self._attempt, why=why)


def _in_memory(visit: Visit) -> bool:
    """Return whether fleet's model may still be in memory after a trial that failed."""
    try:
        resident = visit.engine.resident()
    except TrialError:
        return True
    return any(same_model(model.name, visit.trial.model) for model in resident)
