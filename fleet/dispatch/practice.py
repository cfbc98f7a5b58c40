"""A whole fleet on this machine, to learn and to test with: a head, and a Ray node per name."""

from __future__ import annotations

import fcntl
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
from fleet.dispatch.places import (
    busy_port,
    folder_of,
    folder_root,
    fresh_folder,
    own_address,
)
from fleet.dispatch.processes import RayProcess, end_sessions
from fleet.dispatch.records import HEAD, write_record
from fleet.dispatch.running import Head
from fleet.errors import FleetUnreachable, UserError

STRIDE = 100
FIRST_SHIFT = 1000
LAST_SHIFT = 12000


@contextmanager
def practice_cluster(
    machines: Sequence[str], state: Path, *, extra: Mapping[str, str] | None = None
) -> Iterator[Head]:
    """Everything is up inside the block and gone after it.

    The nodes' process ids stand in the head's record too, so that `leave` or the next start
    ends them if this process is killed. `extra`: environment of head and nodes. Only a few nodes
    start at once: Ray gives each 30 s, which a crowd of them does not keep on few cores.
    """
    at_once = max(2, os.cpu_count() or 1)
    if len(set(machines)) < len(machines):
        raise UserError("two practice machines have the same name", "give each its own name")
    labels = [launch.node_labels(name, None, int(time.time())) for name in machines]
    nodes: list[RayProcess] = []
    with (
        _own_ports(len(machines) + 1) as ports,
        start_head(state, own_ip=own_address(), ports=ports[0], extra=extra) as head,
    ):
        try:
            for number, (label, own) in enumerate(zip(labels, ports[1:], strict=True)):
                if number >= at_once:
                    nodes[number - at_once].wait_until_up(NODE_UP_S)
                folder = fresh_folder(state, f"p{number}")
                token = token_file(state)
                ip = head.record.own_ip
                nodes.append(start_node(head.address, ip, folder, token, own, label, extra))
                leaders = (*head.record.ray, *(node.mark for node in nodes))
                write_record(state / HEAD, replace(head.record, ray=leaders))
            for node in nodes[-at_once:]:
                node.wait_until_up(NODE_UP_S)
            head.wait_for_jobs()
            yield head
        finally:
            end_sessions([node.mark.pid for node in nodes])
            for node in nodes:
                node.reap()
            for number in range(len(nodes)):
                shutil.rmtree(folder_of(state, f"p{number}"), ignore_errors=True)


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
    handle = os.open(folder_root() / f"ports-{shift}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    held.callback(os.close, handle)
    return True
