"""A whole fleet on this machine, to learn and to test with: a head, and a Ray node per name."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from fleet.dispatch import launch
from fleet.dispatch.access import token_file
from fleet.dispatch.cluster import NODE_UP_S, start_head, start_node
from fleet.dispatch.processes import RayProcess, end_sessions
from fleet.dispatch.ray_paths import (
    busy_port,
    folder_of,
    folder_root,
    fresh_folder,
    own_address,
)
from fleet.dispatch.records import HEAD, Record, write_record
from fleet.dispatch.running import WATCH_S, Head
from fleet.durable import FileLock
from fleet.errors import FleetUnreachable, UserError
from fleet.ports import Say, Stop

STRIDE = 100
FIRST_SHIFT = 1000
LAST_SHIFT = 12000
TRIES = 3
"""Of each machine: Ray gives a start 30 s, which a busy machine does not keep."""


class PracticeNode:
    """One practice machine; it is started anew where it does not come up in time."""

    def __init__(self, name: str, number: int, ports: launch.Ports) -> None:
        self.name = name
        self.role = f"p{number}"
        self.processes: list[RayProcess] = []
        """That of the last start; one that does not come up has been ended."""
        self.failure = ""
        """Why the last start did not come up; empty: it did, or is still to tell."""
        self._label = launch.node_labels(name, None, int(time.time()))
        self._ports = ports

    @property
    def up(self) -> bool:
        return not self.failure and all(process.running() for process in self.processes)

    def start(self, head: Head, state: Path, extra: Mapping[str, str] | None) -> None:
        folder, token = fresh_folder(state, self.role), token_file(state)
        ip = head.record.own_ip
        process = start_node(head.address, ip, folder, token, self._ports, self._label, extra)
        self.processes = [process]

    def comes_up(self) -> bool:
        try:
            self.processes[0].wait_until_up(NODE_UP_S)
        except FleetUnreachable as problem:
            self.failure = problem.what
            return False
        self.failure = ""
        return True


class Practice:
    """A running practice fleet: its head, and the machines that came up."""

    def __init__(self, head: Head, state: Path, extra: Mapping[str, str] | None) -> None:
        self.head = head
        self.nodes: list[PracticeNode] = []
        self._state = state
        self._extra = extra

    @property
    def address(self) -> str:
        return self.head.address

    @property
    def record(self) -> Record:
        return self.head.record

    @property
    def joined(self) -> list[str]:
        return [node.name for node in self.nodes if not node.failure]

    def start(self, node: PracticeNode) -> None:
        """Its process stands in the head's record, so that `leave` ends it."""
        if node not in self.nodes:
            self.nodes.append(node)
        node.start(self.head, self._state, self._extra)
        started = [process.mark for each in self.nodes for process in each.processes]
        write_record(
            self._state / HEAD, replace(self.record, ray=(*self.head.record.ray, *started))
        )

    def settle(self, node: PracticeNode, say: Say) -> None:
        """Wait for it; one that does not come up is tried again, then left out by name."""
        for _ in range(TRIES - 1):
            if node.comes_up():
                return
            say(f"{node.name} did not come up, and is tried again: {node.failure}")
            self.start(node)
        if not node.comes_up():
            say(f"{node.name} is left out: {node.failure}")

    def watch(self, stop: Stop, say: Say) -> None:
        """Until `stop` is set; a machine that ends is named once. Raises where the head ends."""
        living = [node for node in self.nodes if not node.failure]
        while not stop.wait(WATCH_S):
            self.head.check()
            for node in [node for node in living if not node.up]:
                living.remove(node)
                say(f"{node.name} ended, and is not joined any more: fleet leave; fleet practice")

    def end(self) -> None:
        processes = [process for node in self.nodes for process in node.processes]
        end_sessions([process.mark.pid for process in processes])
        for process in processes:
            process.reap()
        for node in self.nodes:
            shutil.rmtree(folder_of(self._state, node.role), ignore_errors=True)


def say_nothing(_: str) -> None:
    """For callers that look at `Practice.joined` instead."""


@contextmanager
def practice_cluster(
    machines: Sequence[str],
    state: Path,
    *,
    extra: Mapping[str, str] | None = None,
    say: Say = say_nothing,
) -> Iterator[Practice]:
    """Everything that comes up is up inside the block, and gone after it.

    The nodes' process ids stand in the head's record too, so that `leave` or the next start
    ends them if this process is killed. `extra`: environment of head and nodes. Only a few nodes
    start at once: Ray gives each 30 s, which a crowd of them does not keep on few cores. Raises
    FleetUnreachable where no node comes up.
    """
    at_once = max(2, os.cpu_count() or 1)
    if len(set(machines)) < len(machines):
        raise UserError("two practice machines have the same name", "give each its own name")
    with (
        _own_ports(len(machines) + 1) as ports,
        start_head(state, own_ip=own_address(), ports=ports[0], extra=extra) as head,
    ):
        practice = Practice(head, state, extra)
        nodes = [PracticeNode(name, at, ports[at + 1]) for at, name in enumerate(machines)]
        try:
            for number, node in enumerate(nodes):
                if number >= at_once:
                    practice.settle(nodes[number - at_once], say)
                practice.start(node)
            for node in nodes[-at_once:]:
                practice.settle(node, say)
            if nodes and not practice.joined:
                reasons = "; ".join(f"{node.name}: {node.failure}" for node in nodes)
                what = f"no practice machine came up: {reasons}"
                raise FleetUnreachable(what, "fleet practice --machines 1")
            head.wait_for_jobs()
            yield practice
        finally:
            practice.end()


@contextmanager
def _own_ports(count: int) -> Iterator[list[launch.Ports]]:
    """So many sets of ports, a stride apart, that nothing listens on now.

    Each set is locked while the block lasts: Ray binds its ports seconds later, and another
    practice fleet may be looking for some at this moment.
    """
    found: list[launch.Ports] = []
    with ExitStack() as held:
        for shift in range(FIRST_SHIFT, LAST_SHIFT, STRIDE):
            ports = launch.Ports().shifted(shift)
            if busy_port(ports) is None and _locked(shift, held):
                found.append(ports)
            if len(found) == count:
                yield found
                return
    raise FleetUnreachable(f"no free ports for {count} Ray nodes on this machine", "fewer machines")


def _locked(shift: int, held: ExitStack) -> bool:
    """The kernel frees the lock when its holder dies."""
    lock = FileLock(folder_root() / f"ports-{shift}.lock")
    if not lock.take():
        lock.release()
        return False
    held.callback(lock.release)
    return True
