"""A whole fleet on this machine, to learn and to test with: a head, and a Ray node per name."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fleet.dispatch import launch
from fleet.dispatch.access import token_file
from fleet.dispatch.cluster import NODE_UP_S, Head, start_head, start_node
from fleet.dispatch.places import fresh_folder, own_address
from fleet.dispatch.processes import RayProcess, end_sessions
from fleet.dispatch.records import HEAD, write_record
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
    ends them if this process is killed. `extra`: environment of head and nodes.
    """
    if len(set(machines)) < len(machines):
        raise UserError("two practice machines have the same name", "give each its own name")
    labels = [launch.node_labels(name, None, int(time.time())) for name in machines]
    ports = _free_ports(len(machines) + 1)
    nodes: list[RayProcess] = []
    with start_head(state, own_ip=own_address(), ports=ports[0], extra=extra) as head:
        try:
            for number, (label, own) in enumerate(zip(labels, ports[1:], strict=True)):
                folder = fresh_folder(state, f"p{number}")
                token = token_file(state)
                ip = head.record.own_ip
                nodes.append(start_node(head.address, ip, folder, token, own, label, extra))
            leaders = (*head.record.ray, *(node.mark for node in nodes))
            write_record(state / HEAD, replace(head.record, ray=leaders))
            for node in nodes:
                node.wait_until_up(NODE_UP_S + 5 * len(nodes))
            head.wait_for_jobs()
            yield head
        finally:
            end_sessions([node.mark.pid for node in nodes])
            for node in nodes:
                node.reap()


def _free_ports(count: int) -> list[launch.Ports]:
    """So many sets of ports that nothing listens on now, each a stride apart."""
    base, found = launch.Ports(), []
    for shift in range(FIRST_SHIFT, LAST_SHIFT, STRIDE):
        ports = base.shifted(shift)
        if all(_free(port) for port in (*ports.single(), ports.first_worker, ports.last_worker)):
            found.append(ports)
        if len(found) == count:
            return found
    raise FleetUnreachable(f"no free ports for {count} Ray nodes on this machine", "fewer machines")


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("::", port))
        except OSError:
            return False
        return True
