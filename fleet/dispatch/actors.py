"""Workers on the machines of a Ray cluster: one actor per machine and experiment.

An actor holds its machine's slot for its whole life, so two experiments never measure on one
machine at once. Ray never retries: a machine that went away is told as Lost, and what it had
measured lies in its spool until it comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fleet.dispatch.driver import connect, in_words
from fleet.dispatch.launch import SLOT
from fleet.dispatch.seats import Seat, Seated, seats
from fleet.errors import FleetError, UserError
from fleet.model.event import Event, Failed, Lost
from fleet.model.machine import Machine
from fleet.model.trial import Attempt
from fleet.ports import Worker

SEAT_S = 20.0
"""For an actor to start; its slot may still be held by another experiment."""
LOOK_S = 60.0
POLL_S = 0.25
CANCEL_S = 1.5
CLOSE_S = 3.0
THREADS = 4
"""Of an actor: one for `run`, the others for what is said to it meanwhile."""
NO_SEAT = "its worker did not start in time: another experiment measures there (fleet status)?"
NO_LOOK = "it did not tell in time what it is"


class RayDispatcher:
    """One side of ports.Dispatcher.

    `make_worker` is called on each machine with the spec that `spec_of` made here for its seat;
    both it and the specs are pickled. `names`: only these machines; None: all.
    Connects at once; raises FleetUnreachable, and UserError for a wrong token.
    """

    def __init__(
        self,
        make_worker: Callable[[Any], Worker],
        spec_of: Callable[[Seat], object],
        *,
        address: str,
        token_file: Path,
        experiment: str,
        names: Sequence[str] | None = None,
    ) -> None:
        self._make_worker = make_worker
        self._spec_of = spec_of
        self._experiment = experiment
        self._names = None if names is None else frozenset(names)
        self._actors: dict[str, Any] = {}
        self._machines: dict[str, str] = {}
        self._cancelled_at: float | None = None
        self.absent: dict[str, str] = {}
        """Name of each node that gave no machine at the last look, and why."""
        connect(address, token_file)

    def machines(self) -> Sequence[Machine]:
        """Every machine that answers; the others are in `absent`, with the reason."""
        self.absent = {}
        self._take_seats()
        asked = {name: actor.look.remote() for name, actor in self._actors.items()}
        found: dict[str, Machine] = {}
        for name, (machine, why) in _answers(asked, LOOK_S, NO_LOOK).items():
            if why:
                self._leave_out(name, why)
            else:
                found[name] = machine
        self._machines = _each_once(found)
        return [found[name] for name in sorted(found)]

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
        asked = {name: actor.close.remote() for name, actor in self._actors.items()}
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=CLOSE_S)
        for name in list(self._actors):
            ray.kill(self._actors.pop(name))
        ray.shutdown()

    def _take_seats(self) -> None:
        """An actor on each live machine that has none; one that cannot start is let go."""
        fresh = {}
        list_nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
        for seat in seats(list_nodes()):
            wanted = self._names is None or seat.name in self._names
            if wanted and seat.name not in self._actors:
                self._actors[seat.name] = self._seated(seat)
                fresh[seat.name] = self._actors[seat.name].begin.remote()
        for name, (_, why) in _answers(fresh, SEAT_S, NO_SEAT).items():
            if why:
                self._leave_out(name, why)

    def _seated(self, seat: Seat) -> Any:
        options: dict[str, Any] = {
            "name": f"{self._experiment}@{seat.name}",
            "num_cpus": 0,
            "resources": {SLOT: 1},
            "scheduling_strategy": NodeAffinitySchedulingStrategy(seat.node_id, soft=False),
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": THREADS,
        }
        actor: Any = ray.remote(Seated)
        return actor.options(**options).remote(self._make_worker, self._spec_of(seat))

    def _leave_out(self, name: str, why: str) -> None:
        self.absent[name] = why
        ray.kill(self._actors.pop(name))

    def _actor(self, machine_id: str) -> Any | None:
        return self._actors.get(self._machines.get(machine_id, ""))

    def _stream(self, call: str, work: Mapping[str, Sequence[Any]]) -> Iterator[Event]:
        if self._cancelled_at is not None:
            return
        if not self._machines:
            self.machines()
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
                return Failed(machine_id=machine_id, what=cause.what, mend=cause.mend)
            return Lost(machine_id=machine_id, what=in_words(problem))
        except RayError as problem:
            self._actors.pop(self._machines.pop(machine_id, ""), None)
            return Lost(machine_id=machine_id, what=in_words(problem))
        return event

    def _abandon(self, waiting: Mapping[Any, tuple[str, Any]]) -> Iterator[Event]:
        for machine_id, _ in waiting.values():
            if actor := self._actors.pop(self._machines.pop(machine_id, ""), None):
                ray.kill(actor)
            yield Lost(machine_id=machine_id, what="it did not stop in time and was ended")

    def _stop_all(self) -> None:
        for actor in list(self._actors.values()):
            actor.stop.remote()

    def _cancelled_for(self) -> float:
        return 0.0 if self._cancelled_at is None else time.monotonic() - self._cancelled_at


def _answers(asked: Mapping[str, Any], within_s: float, late: str) -> dict[str, tuple[Any, str]]:
    """Per name the value, or why there is none; all within one deadline."""
    if not asked:
        return {}
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=within_s)
    return {name: _answer(ref) if ref in ready else (None, late) for name, ref in asked.items()}


def _answer(ref: Any) -> tuple[Any, str]:
    try:
        return ray.get(ref), ""
    except RayError as problem:
        return None, in_words(problem)


def _each_once(found: Mapping[str, Machine]) -> dict[str, str]:
    """Machine id to name; raises UserError where two nodes have one id."""
    names: dict[str, str] = {}
    for name, machine in found.items():
        if other := names.get(machine.machine_id):
            what = f"{other} and {name} give the same machine id (a cloned disk, a container?)"
            mend = f"on one of them: fleet leave; fleet join HEAD --name {name}-2"
            raise UserError(what, mend)
        names[machine.machine_id] = name
    return names
