"""The actors of one experiment, one on each of its machines.

A slot is a Ray resource of which each machine has one. No actor is ever left pending in Ray, which
cannot tell a busy machine from one that is gone: an actor starts only where no other experiment
has one, and one coordinator at a time looks and starts.
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
from fleet.dispatch_ports import Worker
from fleet.durable import FileLock
from fleet.model.machine import Machine

START_S = 20.0
"""Time for an actor to start in a free slot."""
LOOK_S = 60.0
TRIES = 2
"""A machine that does not answer in time gets one more try."""
THREADS = 4
"""Threads of an actor: one for `run`, the others for calls meanwhile."""
NO_START = "its worker did not start in time, twice"
NO_LOOK = "it did not answer in time, twice"
SINCE = "since-"
"""Prefix of an actor's namespace; the Unix time in milliseconds follows."""


class ActorPool:
    """The actors of one experiment.

    `make_worker`, and the specs that `spec_of` makes, are pickled and sent to the machines.
    """

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
        """Namespace and name of every actor that this pool has started."""
        self._reserved: set[str] = set()
        self.actors: dict[str, Any] = {}
        self.absent: dict[str, str] = {}

    def slots(self) -> dict[str, NodeSlot]:
        """Return the slots of the fleet, by machine."""
        list_nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
        return {slot.name: slot for slot in slots(list_nodes())}

    def take(
        self, names: Collection[str], promised: Mapping[str, str], lock: Path
    ) -> Mapping[str, str]:
        """Take machines as Dispatcher.take does; a pool that waits for a slot holds none."""
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
        """Take the machines that are free, for one look; return who has the others."""
        self.absent.clear()
        fresh = self._fresh(names)
        with _one_at_a_time(lock):
            others = self._holders()
            self._begin({name: slot for name, slot in fresh.items() if name not in others})
        return {name: others[name] for name in fresh if name in others}

    def look(self) -> dict[str, Machine]:
        """Return what each machine is; give up a machine that does not answer in time."""
        calls = {name: [actor.look.remote()] for name, actor in self.actors.items()}
        machines, late = self._first_answers(calls, LOOK_S)
        for _ in range(TRIES - 1):
            again = {name: [*calls[name], self.actors[name].look.remote()] for name in late}
            more, late = self._first_answers(again, LOOK_S)
            machines |= more
        self._leave_out(dict.fromkeys(late, NO_LOOK))
        return {name: machines[name] for name in sorted(machines)}

    def release(self, names: Iterable[str]) -> None:
        """Free the slots of these machines at once; whatever ran there ends."""
        for name in names:
            ray.kill(self.actors.pop(name))
            self._reserved.discard(name)

    def close(self, within_s: float) -> None:
        """Let the workers close within this time, and free their slots."""
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
        for _ in range(TRIES):
            self.actors |= {name: self._started(fresh[name]) for name in late}
            calls = {name: [self.actors[name].begin.remote()] for name in late}
            _, late = self._first_answers(calls, START_S)
            self.release(late)
        self.absent |= dict.fromkeys(late, NO_START)

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
        """Take the machines' own locks too, which a fleet without Ray may hold."""
        names = self.actors.keys() - self._reserved
        calls = {name: [self.actors[name].reserve.remote(self._experiment)] for name in names}
        answers, late = self._first_answers(calls, START_S)
        self._leave_out(dict.fromkeys(late, NO_START))
        self._reserved |= {name for name, words in answers.items() if not words}
        return {name: words for name, words in answers.items() if words}

    def _holders(self) -> dict[str, str]:
        """Return the machines that other experiments have, and who has them."""
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
        """Return the first answer of each machine, and the machines that gave none in time."""
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
    """Let one coordinator of this head in at a time; the lock ends with its holder."""
    held = FileLock(lock, mode=0o600)
    try:
        held.wait()
        yield
    finally:
        held.release()
