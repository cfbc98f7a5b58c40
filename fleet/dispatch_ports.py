"""The seams between a coordinator and its machines: a worker, and what carries work to it.

| Seam | Real sides |
|---|---|
| Worker | worker.NodeWorker |
| Dispatcher | dispatch.local, dispatch.actors |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from fleet.model.event import Event
from fleet.model.machine import Machine
from fleet.model.trial import Attempt


class Worker(Protocol):
    """Measures on one machine, at the command of a dispatcher.

    `drop`, `acknowledge` and `stop` may be called from another thread while `run` goes on.
    """

    def look(self) -> Machine:
        """Return what the machine is now."""
        ...

    def reserve(self, experiment: str) -> str:
        """Take this machine for one experiment until `release` or `close`, without waiting.

        Returns an empty text, or in words who has the machine.
        """
        ...

    def release(self) -> None: ...

    def prepare(self, models: Sequence[str]) -> Iterator[Event]:
        """Pull the absent models; the last event is Prepared or Failed.

        A ModelRefused before it leaves out one model alone.
        """
        ...

    def run(self, attempts: Sequence[Attempt]) -> Iterator[Event]:
        """Yield the results spooled in an earlier run, then work through the attempts in order."""
        ...

    def drop(self, trial_ids: Sequence[str]) -> None: ...
    def acknowledge(self, attempt_id: str) -> None: ...

    def stop(self) -> None:
        """End the running trial as cancelled within 0.5 s; later trials do not begin."""
        ...

    def close(self) -> None: ...


class Dispatcher(Protocol):
    """Carries trials to workers and events back; one worker per machine."""

    @property
    def absent(self) -> Mapping[str, str]:
        """Names of the machines that were asked and did not answer, with the reasons."""
        ...

    def joined(self) -> Sequence[str]:
        """Return the names of the machines of the fleet, whether free or taken."""
        ...

    def take(self, names: Collection[str], promised: Mapping[str, str]) -> Mapping[str, str]:
        """Take these machines, all or none, for as long as this dispatcher is open.

        Returns the machines that others have, and who has them; empty if all were taken.
        `promised`: machines that others are waiting for ahead of this dispatcher, and who.
        """
        ...

    def borrow(self, names: Collection[str]) -> Mapping[str, str]:
        """Take those of these machines that are free, for one look; return what `take` does."""
        ...

    def machines(self) -> Sequence[Machine]:
        """Return what the taken machines are now, without those that do not answer."""
        ...

    def keep(self, machine_ids: Collection[str]) -> None:
        """Give back every machine but these."""
        ...

    def prepare(self, models: Mapping[str, Sequence[str]]) -> Iterator[Event]:
        """Pull the absent models of each machine id; each machine ends with Prepared or Failed."""
        ...

    def run(self, queues: Mapping[str, Iterable[Attempt]]) -> Iterator[Event]:
        """Let all machines work at once, each through its queue in order."""
        ...

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        """Take trials that have not begun out of a machine's queue."""
        ...

    def acknowledge(self, machine_id: str, attempt_id: str) -> None:
        """Let the node forget its spooled copy of a result that is stored."""
        ...

    def cancel(self) -> None:
        """Stop the running trials; `run` ends within 2 s and yields them as cancelled results."""
        ...

    def close(self) -> None: ...
