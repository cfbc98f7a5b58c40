"""A whole fleet on this machine for practice and tests: a head, and a Ray node per name."""

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
"""Starts per machine: Ray gives each 30 s, which a busy machine does not keep."""


class PracticeNode:
    """One practice machine, which is started again if it does not come up in time."""

    def __init__(self, name: str, number: int, ports: launch.Ports) -> None:
        self.name = name
        self.role = f"p{number}"
        self.processes: list[RayProcess] = []
        """The process of the last start; a process that does not come up has been ended."""
        self.failure = ""
        """Why the last start did not come up. Empty: it came up, or is still starting."""
        self._label = launch.node_labels(name, None, int(time.time()))
        self._ports = ports

    @property
    def up(self) -> bool:
        return not self.failure and all(process.running() for process in self.processes)

    def start(self, head: Head, state: Path, extra: Mapping[str, str] | None) -> None:
        """Start the node; it is not up yet on return."""
        folder, ip = fresh_folder(state, self.role), head.record.own_ip
        node = launch.RayNode(own_ip=ip, folder=folder, ports=self._ports)
        self.processes = [start_node(head.address, node, token_file(state), self._label, extra)]

    def comes_up(self) -> bool:
        """Wait for the node; return False if it does not come up in time."""
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
        """Start a node, and list its process in the head's record, so that `leave` ends it."""
        if node not in self.nodes:
            self.nodes.append(node)
        node.start(self.head, self._state, self._extra)
        started = [process.mark for each in self.nodes for process in each.processes]
        write_record(
            self._state / HEAD, replace(self.record, ray=(*self.head.record.ray, *started))
        )

    def settle(self, node: PracticeNode, say: Say) -> None:
        """Wait for a node; if it does not come up, try again, and at last leave it out by name."""
        for _ in range(TRIES - 1):
            if node.comes_up():
                return
            say(f"{node.name} did not come up; trying again: {node.failure}")
            self.start(node)
        if not node.comes_up():
            say(f"{node.name} is left out: {node.failure}")

    def bring_up(self, nodes: Sequence[PracticeNode], say: Say) -> None:
        """Start all nodes, a few at once; raise FleetUnreachable if none comes up.

        Ray gives each start 30 s, which a crowd of them does not keep on few cores.
        """
        at_once = max(2, os.cpu_count() or 1)
        for number, node in enumerate(nodes):
            if number >= at_once:
                self.settle(nodes[number - at_once], say)
            self.start(node)
        for node in nodes[-at_once:]:
            self.settle(node, say)
        if nodes and not self.joined:
            reasons = "; ".join(f"{node.name}: {node.failure}" for node in nodes)
            what = f"no practice machine came up: {reasons}"
            raise FleetUnreachable(what, "fleet practice --machines 1")

    def watch(self, stop: Stop, say: Say) -> None:
        """Watch until `stop` is set; name a node that ends once, and raise if the head ends."""
        living = [node for node in self.nodes if not node.failure]
        while not stop.wait(WATCH_S):
            self.head.check()
            for node in [node for node in living if not node.up]:
                living.remove(node)
                say(f"{node.name} ended and is no longer joined: fleet leave; fleet practice")

    def end(self) -> None:
        """End all nodes, and remove their folders."""
        processes = [process for node in self.nodes for process in node.processes]
        end_sessions([process.mark.pid for process in processes])
        for process in processes:
            process.reap()
        for node in self.nodes:
            shutil.rmtree(folder_of(self._state, node.role), ignore_errors=True)


def say_nothing(_: str) -> None:
    """Say nothing: for callers that look at `Practice.joined` instead."""


@contextmanager
def practice_cluster(
    machines: Sequence[str],
    state: Path,
    *,
    extra: Mapping[str, str] | None = None,
    say: Say = say_nothing,
) -> Iterator[Practice]:
    """Run a practice fleet inside the block.

    The head's record lists the nodes' processes too, so that `leave` or the next start ends them
    if this process is killed. `extra`: environment of head and nodes. Raises FleetUnreachable if
    no node comes up.
    """
    if len(set(machines)) < len(machines):
        raise UserError("two practice machines have the same name", "give each its own name")
    with (
        _own_ports(len(machines) + 1) as ports,
        start_head(state, own_ip=own_address(), ports=ports[0], extra=extra) as head,
    ):
        practice = Practice(head, state, extra)
        nodes = [PracticeNode(name, at, ports[at + 1]) for at, name in enumerate(machines)]
        try:
            practice.bring_up(nodes, say)
            head.wait_for_jobs()
            yield practice
        finally:
            practice.end()


@contextmanager
def _own_ports(count: int) -> Iterator[list[launch.Ports]]:
    """Yield this many sets of free ports, a stride apart.

    Each set stays locked inside the block: Ray binds its ports seconds later, and another practice
    fleet may be looking for ports at this moment.
    """
    free: list[launch.Ports] = []
    with ExitStack() as held:
        for shift in range(FIRST_SHIFT, LAST_SHIFT, STRIDE):
            ports = launch.Ports().shifted(shift)
            if busy_port(ports) is None and _locked(shift, held):
                free.append(ports)
            if len(free) == count:
                yield free
                return
    raise FleetUnreachable(
        f"no free ports for {count} Ray nodes on this machine", "fleet practice --machines 1"
    )


def _locked(shift: int, held: ExitStack) -> bool:
    """Lock a set of ports; the kernel frees the lock when its holder dies."""
    lock = FileLock(folder_root() / f"ports-{shift}.lock")
    if not lock.take():
        lock.release()
        return False
    held.callback(lock.release)
    return True
