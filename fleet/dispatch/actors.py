"""Workers on the machines of a Ray cluster: one actor per machine and experiment.

An actor holds its machine's slot for its whole life, so two experiments never measure on one
machine at once. Ray never retries: a machine that went away is told as Lost, and what it had
measured lies in its spool until it comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from fleet.dispatch.driver import connect, in_words
from fleet.dispatch.nodes import NodeSlot
from fleet.dispatch.pool import ActorPool
from fleet.dispatch.ray_log import RayLog
from fleet.errors import FleetError, UserError
from fleet.model.event import Event, Failed, Lost
from fleet.model.machine import Machine
from fleet.model.trial import Attempt
from fleet.ports import Worker

POLL_S = 0.25
CANCEL_S = 1.5
CLOSE_S = 3.0
LOCK_FILE = "slots.lock"


class RayDispatcher:
    """One side of ports.Dispatcher.

    `make_worker` is called on each machine with the spec that `spec_of` made here for its slot;
    both it and the specs are pickled. `log`: a file for Ray's own words. Connects at once; raises
    FleetUnreachable, and UserError for a wrong token.
    """

    def __init__(
        self,
        make_worker: Callable[[Any], Worker],
        spec_of: Callable[[NodeSlot], object],
        *,
        address: str,
        token_file: Path,
        experiment: str,
        log: Path,
    ) -> None:
        self._log = RayLog(log)
        self._pool = ActorPool(make_worker, spec_of, experiment=experiment, log=self._log)
        self._lock = token_file.with_name(LOCK_FILE)
        self._machines: dict[str, str] = {}
        self._cancelled_at: float | None = None
        connect(address, token_file)
        self._log.take_prints()

    @property
    def absent(self) -> Mapping[str, str]:
        return self._pool.absent

    def joined(self) -> Sequence[str]:
        return list(self._pool.slots())

    def take(self, names: Collection[str], promised: Mapping[str, str]) -> Mapping[str, str]:
        return self._pool.take(names, promised, self._lock)

    def borrow(self, names: Collection[str]) -> Mapping[str, str]:
        return self._pool.borrow(names, self._lock)

    def machines(self) -> Sequence[Machine]:
        """Raises UserError where two of them have one id."""
        machines = self._pool.look()
        self._machines = _each_once(machines)
        return list(machines.values())

    def keep(self, machine_ids: Collection[str]) -> None:
        kept = {self._machines[machine_id] for machine_id in machine_ids}
        self._pool.release([name for name in self._pool.actors if name not in kept])

    def prepare(self, models: Mapping[str, Sequence[str]]) -> Iterator[Event]:
        yield from self._stream("prepare", {key: tuple(value) for key, value in models.items()})

    def run(self, queues: Mapping[str, Iterable[Attempt]]) -> Iterator[Event]:
        yield from self._stream("run", {key: tuple(value) for key, value in queues.items()})

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        if actor := self._actor(machine_id):
            actor.drop.remote(tuple(trial_ids))

    def acknowledge(self, machine_id: str, attempt_id: str) -> None:
        if actor := self._actor(machine_id):
            actor.acknowledge.remote(attempt_id)

    def cancel(self) -> None:
        """May be called from a signal handler: a thread of its own speaks to Ray."""
        self._cancelled_at = time.monotonic()
        threading.Thread(target=self._stop_all, daemon=True).start()

    def close(self) -> None:
        self._pool.close(CLOSE_S)
        ray.shutdown()

    def _actor(self, machine_id: str) -> Any | None:
        return self._pool.actors.get(self._machines.get(machine_id, ""))

    def _stream(self, call: str, work: Mapping[str, Sequence[Any]]) -> Iterator[Event]:
        if self._cancelled_at is not None:
            return
        waiting: dict[Any, tuple[str, Any]] = {}
        for machine_id, argument in work.items():
            if actor := self._actor(machine_id):
                stream = getattr(actor, call).options(num_returns="streaming").remote(argument)
                waiting[stream] = machine_id, None
            else:
                yield Lost(machine_id=machine_id, what="it is no longer in the fleet")
        yield from self._merged(waiting)

    def _merged(self, waiting: dict[Any, tuple[str, Any]]) -> Iterator[Event]:
        """Events of all machines as they come.

        Waited for is, per machine, its stream, or the item that the stream announced and that
        has not arrived yet: a large item of a machine that dies must not hold up the others.
        The keys' order gives each its turn.
        """
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=POLL_S)
            if self._cancelled_for() > CANCEL_S:
                yield from self._abandon(waiting)
                return
            for one in ready:
                machine_id, stream = waiting.pop(one)
                if stream is None:
                    self._announced(one, machine_id, waiting)
                    continue
                event = self._arrived(one, machine_id)
                yield event
                if not isinstance(event, Lost):
                    waiting[stream] = machine_id, None

    def _announced(self, stream: Any, machine_id: str, waiting: dict[Any, Any]) -> None:
        try:
            waiting[next(stream)] = machine_id, stream
        except StopIteration:
            return

    def _arrived(self, item: Any, machine_id: str) -> Event:
        try:
            event: Event = ray.get(item)
        except RayTaskError as problem:
            cause = problem.cause
            if isinstance(cause, FleetError):
                return Failed(machine_id=machine_id, what=cause.what, hint=cause.hint)
            return self._lost(machine_id, problem)
        except RayError as problem:
            self._pool.actors.pop(self._machines.get(machine_id, ""), None)
            lost = self._lost(machine_id, problem)
            self._machines.pop(machine_id, None)
            return lost
        return event

    def _lost(self, machine_id: str, problem: RayError) -> Lost:
        """One line; the file that it names has the rest."""
        self._log.note(f"{self._machines.get(machine_id, machine_id)}: {problem}")
        what = f"{in_words(problem)} (details: {self._log.path})"
        return Lost(machine_id=machine_id, what=what)

    def _abandon(self, waiting: Mapping[Any, tuple[str, Any]]) -> Iterator[Event]:
        for machine_id, _ in waiting.values():
            if (name := self._machines.pop(machine_id, "")) in self._pool.actors:
                self._pool.release([name])
            yield Lost(machine_id=machine_id, what="it did not stop in time and was ended")

    def _stop_all(self) -> None:
        for actor in list(self._pool.actors.values()):
            actor.stop.remote()

    def _cancelled_for(self) -> float:
        return 0.0 if self._cancelled_at is None else time.monotonic() - self._cancelled_at


def _each_once(found: Mapping[str, Machine]) -> dict[str, str]:
    """Machine id to name; raises UserError where two nodes have one id."""
    names: dict[str, str] = {}
    for name, machine in found.items():
        if other := names.get(machine.machine_id):
            what = f"{other} and {name} give the same machine id (a cloned disk, a container?)"
            hint = f"on one of them: fleet leave; fleet join HEAD --name {name}-2"
            raise UserError(what, hint)
        names[machine.machine_id] = name
    return names
