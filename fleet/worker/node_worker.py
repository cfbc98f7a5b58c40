"""The worker of one machine: it looks, prepares models, and takes attempts through their phases."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from fleet import folders, wiring
from fleet.clock import SystemClock
from fleet.errors import EngineBusy, EngineUnreachable, SettingFailed, TrialError
from fleet.exclusive import MachineLock, awake
from fleet.model.event import Event, Failed, Finished, Said
from fleet.model.machine import EngineFacts, EngineRestart, Machine, ModelFacts
from fleet.model.trial import Attempt
from fleet.owner.hours import minute_of_day
from fleet.ports import Clock
from fleet.reservation import Reservation
from fleet.spool import node_spool
from fleet.units import NS_PER_S
from fleet.worker.attempt_run import AttemptRun
from fleet.worker.bench import Bench
from fleet.worker.preparation import prepare


class NodeWorker:
    """The real side of dispatch_ports.Worker; one per machine.

    `node`: the parts of the machine, where they are not those that `spec` names.
    """

    def __init__(
        self,
        spec: wiring.WorkerSpec,
        *,
        clock: Clock | None = None,
        node: wiring.Node | None = None,
    ) -> None:
        without_command_line_of_httpx()
        home = folders.home_folder(spec.state or None)
        self._node = node or wiring.node(spec, home)
        self._clock = clock or SystemClock()
        self._spool = node_spool(home, self._node.machine_id, spec.sender)
        self._bench = Bench(self._node, self._spool, self._clock)
        self._reservation = Reservation(self._node.locked, self._node.name, self._clock)
        self._news: list[str] = []

    def look(self) -> Machine:
        """Return what the machine is now, also if its engine does not answer."""
        engine_facts: EngineFacts | None = None
        models: tuple[ModelFacts, ...] = ()
        error, look, restart_words = "", self._node.look, self._node.restart_words
        try:
            self._require_measurable()
            self._recover_settings()
            engine = self._bench.engine()
            engine_facts, models = engine.facts(), tuple(engine.models())
            look = partial(self._bench.gates.look, engine)
        except TrialError as problem:
            error = str(problem)
        return Machine(
            machine_id=self._node.machine_id,
            name=self._node.name,
            fingerprint=look(),
            engine=engine_facts,
            engine_error=error,
            wrong_address=self._node.wrong_address is not None,
            models=models,
            free_disk_bytes=_free_bytes(Path.home()) if self._node.is_here else None,
            settable=self._node.settings.settable(),
            programs=self._node.settings.programs(),
            restart=EngineRestart() if restart_words is None else restart_words(),
            hours=self._node.hours(),
            minute_of_day=minute_of_day(self._clock.unix_ns() / NS_PER_S),
        )

    def prepare(self, models: Sequence[str]) -> Iterator[Event]:
        """Make the models ready."""
        yield from prepare(models, self._bench)

    def run(self, attempts: Sequence[Attempt]) -> Iterator[Event]:
        """Report the results of an earlier run first, then take each attempt through its phases."""
        spooled = set()
        for result in self._spool.waiting(self._news.append):
            spooled.add(result.attempt_id)
            yield Finished(machine_id=self._node.machine_id, result=result)
        for text in self._news:
            yield Said(machine_id=self._node.machine_id, text=text)
        self._news.clear()
        with awake():
            yield from self._measure([a for a in attempts if a.attempt_id not in spooled])

    def _measure(self, attempts: Iterable[Attempt]) -> Iterator[Event]:
        """Take each attempt through its phases, as long as the engine answers now and then."""
        for attempt in attempts:
            yield from AttemptRun(self._bench.shortened(attempt), self._bench).events()
            if problem := self._bench.engine_watch.given_up:
                yield Failed(machine_id=self._node.machine_id, what=problem.what, hint=problem.hint)
                return

    def reserve(self, experiment: str) -> str:
        """Take the machine for one experiment; return who has it otherwise."""
        return self._reservation.take(experiment)

    def release(self) -> None:
        """Give the machine back."""
        self._reservation.release()

    def drop(self, trial_ids: Sequence[str]) -> None:
        """Leave out these trials unless they have begun."""
        self._bench.drop(trial_ids)

    def acknowledge(self, attempt_id: str) -> None:
        """Forget the spooled copy of a result that is stored."""
        self._spool.forget(attempt_id)

    def stop(self) -> None:
        """End the running trial as cancelled, and begin no other."""
        self._bench.stop.set()

    def close(self) -> None:
        """End the engine, if fleet started one, and give the machine back."""
        self._bench.close()
        self.release()

    def _require_measurable(self) -> None:
        """Raise EngineUnreachable or SettingFailed if nothing can be measured here at all."""
        if (problem := self._node.wrong_address) is not None:
            raise EngineUnreachable(problem.what, problem.hint)
        if self._node.refusal:
            raise SettingFailed(self._node.refusal, "")

    def _recover_settings(self) -> None:
        """Undo what a killed worker left changed; a worker that is measuring does so itself."""
        lock = MachineLock(self._node.locked)
        try:
            if not lock.take():
                if self._node.settings.is_changed():
                    raise EngineBusy(
                        "a trial is running here now, and has changed a setting of this machine",
                        "try again once it has ended: fleet status",
                    )
            elif text := self._node.settings.recover():
                self._news.append(text)
        finally:
            lock.release()


def _free_bytes(folder: Path) -> int | None:
    """Return None if there is no such folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def without_command_line_of_httpx() -> None:
    """Keep httpx from importing rich for a command line of its own."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
