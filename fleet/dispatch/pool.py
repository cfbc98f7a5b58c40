"""The actors of one experiment, one on each machine that it has; who else has one, it waits for.

A slot is one Ray resource of each machine. Nothing is left pending in Ray, which cannot tell a
busy machine from one that is gone: an actor is started only where no other experiment's is, and
one coordinator at a time looks and starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fleet.dispatch.driver import in_words
from fleet.dispatch.holders import holder_words
from fleet.dispatch.launch import SLOT
from fleet.dispatch.nodes import NodeSlot, WorkerActor, slots
from fleet.dispatch.ray_log import RayLog
from fleet.durable import FileLock
from fleet.model.machine import Machine
from fleet.ports import Worker

SEAT_S = 20.0
"""For an actor to start where the slot is free."""
LOOK_S = 60.0
ASKED_TIMES = 2
"""A machine that is late is asked once more before it is given up."""
THREADS = 4
"""Of an actor: one for `run`, the others for what is said to it meanwhile."""
NO_SEAT = "its worker did not start in time, twice"
NO_LOOK = "it did not tell in time what it is, twice"
SINCE = "since-"
"""Begins the namespace of an actor; the Unix time in milliseconds follows."""


class ActorPool:
    """`make_worker` and the specs that `spec_of` makes are pickled and sent to the machines."""

    def __init__(
        self,
        make_worker: Callable[[Any], Worker],
        spec_of: Callable[[NodeSlot], object],
        *,
        experiment: str,
        log: RayLog,
    ) -> None:
        self._make_worker = make_worker
        self._spec_of = spec_of
        self._experiment = experiment
        self._log = log
        self._own: set[tuple[str, str]] = set()
        """Namespace and name of every actor that was started here."""
        self._reserved: set[str] = set()
        self.actors: dict[str, Any] = {}
        self.absent: dict[str, str] = {}

    def slots(self) -> dict[str, NodeSlot]:
        list_nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
        return {slot.name: slot for slot in slots(list_nodes())}

    def take(
        self, names: Collection[str], promised: Mapping[str, str], lock: Path
    ) -> Mapping[str, str]:
        """As Dispatcher.take: while it waits for a slot, it holds none itself."""
        fresh = self._fresh(names)
        with _one_at_a_time(lock):
            others = self._holders() | dict(promised)
            busy = {name: others[name] for name in fresh if name in others}
            if busy:
                self.release(tuple(self.actors))
                return busy
            self._begin(fresh)
        return self._reserve()

    def borrow(self, names: Collection[str], lock: Path) -> Mapping[str, str]:
        self.absent.clear()
        fresh = self._fresh(names)
        with _one_at_a_time(lock):
            others = self._holders()
            self._begin({name: slot for name, slot in fresh.items() if name not in others})
        return {name: others[name] for name in fresh if name in others}

    def look(self) -> dict[str, Machine]:
        """What each machine is; one that does not tell in time is given back, and is absent."""
        calls = {name: [actor.look.remote()] for name, actor in self.actors.items()}
        machines, late = self._first_answers(calls, LOOK_S)
        for _ in range(ASKED_TIMES - 1):
            again = {name: [*calls[name], self.actors[name].look.remote()] for name in late}
            more, late = self._first_answers(again, LOOK_S)
            machines |= more
        self._leave_out(dict.fromkeys(late, NO_LOOK))
        return {name: machines[name] for name in sorted(machines)}

    def release(self, names: Iterable[str]) -> None:
        """Their slots are free at once; whatever ran there ends."""
        for name in names:
            ray.kill(self.actors.pop(name))
            self._reserved.discard(name)

    def close(self, within_s: float) -> None:
        calls = [actor.close.remote() for actor in self.actors.values()]
        if calls:
            ray.wait(calls, num_returns=len(calls), timeout=within_s)
        self.release(tuple(self.actors))

    def _fresh(self, names: Collection[str]) -> dict[str, NodeSlot]:
        settled = self.actors.keys() | self.absent.keys()
        wanted = {name: slot for name, slot in self.slots().items() if name in names}
        return {name: slot for name, slot in wanted.items() if name not in settled}

    def _begin(self, fresh: Mapping[str, NodeSlot]) -> None:
        late = tuple(fresh)
        for _ in range(ASKED_TIMES):
            self.actors |= {name: self._started(fresh[name]) for name in late}
            calls = {name: [self.actors[name].begin.remote()] for name in late}
            _, late = self._first_answers(calls, SEAT_S)
            self.release(late)
        self.absent |= dict.fromkeys(late, NO_SEAT)

    def _started(self, slot: NodeSlot) -> Any:
        name, namespace = f"{self._experiment}@{slot.name}", f"{SINCE}{time.time_ns() // 10**6}"
        self._own.add((namespace, name))
        options: dict[str, Any] = {
            "name": name,
            "namespace": namespace,
            "num_cpus": 0,
            "resources": {SLOT: 1},
            "scheduling_strategy": NodeAffinitySchedulingStrategy(slot.node_id, soft=False),
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": THREADS,
        }
        actor: Any = ray.remote(WorkerActor)
        return actor.options(**options).remote(self._make_worker, self._spec_of(slot))

    def _reserve(self) -> dict[str, str]:
        """The machine's own lock too, which somebody without Ray may hold."""
        names = self.actors.keys() - self._reserved
        calls = {name: [self.actors[name].reserve.remote(self._experiment)] for name in names}
        answers, late = self._first_answers(calls, SEAT_S)
        self._leave_out(dict.fromkeys(late, NO_SEAT))
        self._reserved |= {name for name, words in answers.items() if not words}
        return {name: words for name, words in answers.items() if words}

    def _holders(self) -> dict[str, str]:
        """Machine to words, of every actor of another experiment."""
        holders: dict[str, str] = {}
        for actor in list_named_actors(all_namespaces=True):
            experiment, _, machine = actor["name"].rpartition("@")
            if experiment and (actor["namespace"], actor["name"]) not in self._own:
                since = actor["namespace"].removeprefix(SINCE)
                since_s = int(since) / 1000 if since.isdecimal() else None
                holders[machine] = holder_words(machine, experiment, since_s)
        return holders

    def _first_answers(
        self, calls: Mapping[str, list[Any]], within_s: float
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """By name the first answer of each, and who gave none in time; errors are left out."""
        answers: dict[str, Any] = {}
        until, waiting = time.monotonic() + within_s, dict(calls)
        while waiting and (left_s := until - time.monotonic()) > 0:
            refs = [ref for each in waiting.values() for ref in each]
            ready, _ = ray.wait(refs, timeout=left_s)
            for name in [name for name, each in waiting.items() if set(each) & set(ready)]:
                first = next(ref for ref in waiting.pop(name) if ref in ready)
                try:
                    answers[name] = ray.get(first)
                except RayError as problem:
                    self._log.note(f"{name}: {problem}")
                    self._leave_out({name: in_words(problem)})
        return answers, tuple(waiting)

    def _leave_out(self, reasons: Mapping[str, str]) -> None:
        self.absent |= reasons
        self.release(tuple(reasons))


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Among the coordinators of this head; the kernel frees the lock when its holder dies."""
    held = FileLock(lock, mode=0o600)
    try:
        held.wait()
        yield
    finally:
        held.release()
