"""Where a worker can be put in a Ray cluster, and the actor that is put there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.dispatch.launch import JOIN_NAME_LABEL, NAME_LABEL, SINCE_LABEL
from fleet.errors import UserError
from fleet.model.event import Event
from fleet.model.machine import Machine
from fleet.model.trial import Attempt
from fleet.ports import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSlot:
    """One machine of the cluster, as its labels tell: where a worker can be put."""

    name: str
    join_name: str | None
    """The name given at `fleet join --name`, part of the machine's identity."""
    node_id: str


class WorkerActor:
    """The actor: a worker on its machine. Every call but `begin` is the worker's own."""

    def __init__(self, make_worker: Callable[[Any], Worker], spec: object) -> None:
        self._make = make_worker
        self._spec = spec

    def begin(self) -> None:
        """Makes the worker: here a failure comes back as itself, from `__init__` as a death."""
        self._worker = self._make(self._spec)

    def look(self) -> Machine:
        return self._worker.look()

    def reserve(self, experiment: str) -> str:
        return self._worker.reserve(experiment)

    def prepare(self, models: Sequence[str]) -> Iterator[Event]:
        yield from self._worker.prepare(models)

    def run(self, attempts: Sequence[Attempt]) -> Iterator[Event]:
        yield from self._worker.run(attempts)

    def drop(self, trial_ids: Sequence[str]) -> None:
        self._worker.drop(trial_ids)

    def acknowledge(self, attempt_id: str) -> None:
        self._worker.acknowledge(attempt_id)

    def stop(self) -> None:
        self._worker.stop()

    def close(self) -> None:
        self._worker.close()


def without_arrow() -> None:
    """For a worker process before its first actor: Ray would import Arrow where it is installed.

    That costs each start some 0.3 s, and the measuring process 20 MB, for tables it never sends.
    """
    sys.modules.setdefault("pyarrow", None)  # type: ignore[arg-type]


def slots(nodes: Iterable[Mapping[str, Any]]) -> list[NodeSlot]:
    """The live machines among `ray.nodes()`, each once, by name.

    A node that was started anew is there twice for some 13 s: the later one counts. Two
    machines of one name, at two addresses, raise UserError.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for node in sorted(nodes, key=_since):
        name = node.get("Labels", {}).get(NAME_LABEL)
        if not (name and node["Alive"]):
            continue
        earlier = newest.get(name, node)
        if earlier["NodeManagerAddress"] != node["NodeManagerAddress"]:
            raise _two_of_one_name(name, earlier, node)
        newest[name] = node
    return [_slot(name, newest[name]) for name in sorted(newest)]


def _since(node: Mapping[str, Any]) -> int:
    return int(node.get("Labels", {}).get(SINCE_LABEL, 0))


def _slot(name: str, node: Mapping[str, Any]) -> NodeSlot:
    return NodeSlot(
        name=name, join_name=node["Labels"].get(JOIN_NAME_LABEL), node_id=node["NodeID"]
    )


def _two_of_one_name(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> UserError:
    addresses = f"{one['NodeManagerAddress']} and {other['NodeManagerAddress']}"
    what = f"two machines are called {name}: {addresses}"
    return UserError(what, f"on one of them: fleet leave; fleet join HEAD --name {name}-2")
