"""A head and its nodes as processes of this machine: start, watch, record, stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from fleet.dispatch import launch
from fleet.dispatch.access import make_token, read_token, save_token, token_file
from fleet.dispatch.installer import make_installer
from fleet.dispatch.processes import GRACE_S, RayProcess, mark
from fleet.dispatch.ray_paths import (
    fresh_folder,
    host_label,
    own_address,
    ray_program,
    require_free,
    resolved,
    split_address,
)
from fleet.dispatch.records import HEAD, NODE, Record, end_recorded, read_record, write_record
from fleet.dispatch.running import HEAD_UP_S, Head, Running, wait
from fleet.dispatch.versions import (
    Versions,
    VersionsServer,
    answers,
    ask_head,
    check_versions,
    installed,
)
from fleet.dispatch.wheel import Wheel
from fleet.errors import UserError

NODE_UP_S = 60.0
LEAVE_S = 15.0
BESIDE_HEAD = 200
"""A head that measures too runs a second Ray node, whose ports are higher by this much."""


def start_head(
    state: Path,
    *,
    own_ip: str | None = None,
    ports: launch.Ports | None = None,
    extra: Mapping[str, str] | None = None,
    wheel: Wheel | None = None,
) -> Head:
    """Start Ray's head on this machine; its Jobs interface follows some seconds later.

    `extra`: environment for the coordinator's jobs. `wheel`: what new machines install. Raises
    FleetUnreachable if it does not come up, UserError if a head already runs here or the token is
    not private.
    """
    path, ports = state / HEAD, ports or launch.Ports()
    _end_earlier(path, _head_already)
    token = read_token(make_token(state))
    require_free(ports)
    ip = own_ip or own_address()
    versions = VersionsServer(ip, ports.versions, installed(), token)
    try:
        install = "" if wheel is None else _offer(wheel, versions, ip, ports, token)
        process = _start_head_process(state, ip, ports, extra)
    except BaseException:
        versions.close()
        raise
    record = _record(f"{ip}:{ports.gcs}", ip, installed(), process)
    record = replace(record, dashboard_port=ports.dashboard, install=install)
    write_record(path, record)
    return Head(record, path, process, versions)


def _record(address: str, own_ip: str, versions: Versions, process: RayProcess) -> Record:
    return Record(
        address=address,
        dashboard_port=0,
        versions=versions,
        own_ip=own_ip,
        name="",
        command=mark(os.getpid()),
        ray=(process.mark,),
    )


def _start_head_process(
    state: Path, ip: str, ports: launch.Ports, extra: Mapping[str, str] | None
) -> RayProcess:
    """Start Ray, and end it again if it does not come up or the user interrupts."""
    node = launch.RayNode(own_ip=ip, folder=fresh_folder(state, "h"), ports=ports)
    variables = launch.head_environment(token_file(state), ports, sys.platform)
    argv = launch.head_command(ray_program("head"), node)
    process = _start(argv, variables | dict(extra or {}), node.folder)
    try:
        process.wait_until_up(HEAD_UP_S)
    except BaseException:
        process.stop()
        raise
    return process


def _offer(wheel: Wheel, server: VersionsServer, ip: str, ports: launch.Ports, token: str) -> str:
    """Serve what a new machine fetches; return the line to paste there."""
    shown = address_to_type(f"{ip}:{ports.gcs}")
    installer = make_installer(wheel, ip=ip, port=ports.versions, join=shown, token=token)
    server.offer(installer.line, installer.files)
    return installer.line


# parameters: what a user may choose at `fleet join`, and what a practice fleet and tests choose
def join(
    head: str,
    state: Path,
    *,
    name: str | None = None,
    token: str | None = None,
    own_ip: str | None = None,
    ports: launch.Ports | None = None,
    extra: Mapping[str, str] | None = None,
) -> Running:
    """Make this machine a node of the head at `head` (`host`, or `host:port`).

    `name`: only if the user chose one, since it becomes part of the machine's identity.
    `token`: as read from standard input. None: the one kept from before. Versions and token are
    checked with the head before Ray starts. Raises FleetUnreachable and UserError.
    """
    labels = launch.node_labels(name or host_label(), name, int(time.time()))
    host, port = split_address(head)
    ip = resolved(host)
    secret = token.strip() if token is not None else read_token(token_file(state))
    answer = ask_head(ip, port - 1, secret)
    hint = _install_first(answer.install, head)
    if problem := check_versions(installed(), answer.versions, hint):
        raise problem
    _end_earlier(state / NODE, _joined_already)
    ports = ports or launch.Ports().shifted(BESIDE_HEAD if running_head(state) else 0)
    require_free(ports)
    save_token(state, secret)
    own_ip = own_ip or own_address(ip)
    node = launch.RayNode(own_ip=own_ip, folder=fresh_folder(state, "n"), ports=ports)
    process = start_node(f"{ip}:{port}", node, token_file(state), labels, extra)
    process.wait_until_up(NODE_UP_S)
    record = _record(f"{ip}:{port}", own_ip, answer.versions, process)
    record = replace(record, name=labels[launch.NAME_LABEL])
    write_record(state / NODE, record)
    return Running(record, state / NODE, process)


def leave(state: Path, grace_s: float = GRACE_S) -> bool:
    """End what `fleet head` or `fleet join` runs on this machine; return False if nothing runs.

    The command itself gets a SIGTERM, so that it ends its Ray and tells its user. If it is gone or
    does not react, this ends the Ray processes that it recorded.
    """
    ended = False
    for path in (state / NODE, state / HEAD):
        record = read_record(path)
        if record is None:
            continue
        if record.command.alive() and record.command.pid != os.getpid():
            os.kill(record.command.pid, signal.SIGTERM)
            wait(lambda record=record: not record.command.alive(), LEAVE_S)  # type: ignore[misc]
        end_recorded(record, grace_s)
        path.unlink(missing_ok=True)
        ended = True
    return ended


def running_head(state: Path) -> Record | None:
    """Return the head that runs on this machine from this state folder, if there is one."""
    return _running(state / HEAD)


def running_node(state: Path) -> Record | None:
    """Return what this machine has joined, if anything."""
    return _running(state / NODE)


def _running(path: Path) -> Record | None:
    record = read_record(path)
    return record if record is not None and record.alive() else None


def address_to_type(head: str) -> str:
    """Return the head's address for `fleet join`, without the usual port."""
    host, port = split_address(head)
    return host if port == launch.Ports().gcs else head


def require_joinable(
    head: str, state: Path, name: str | None = None, deadline_s: float = 20.0
) -> None:
    """Raise what would keep this machine out, as far as that is known before the token is."""
    if name is not None:
        launch.checked_name(name)
    if record := running_node(state):
        raise _joined_already(record)
    ray_program("node")
    host, port = split_address(head)
    answers(resolved(host), port - 1, deadline_s)


def _head_already(record: Record) -> UserError:
    what = f"a head runs here already, at {record.address} (process {record.command.pid})"
    return UserError(what, "fleet head --show-join    for new machines; fleet leave    ends it")


def _joined_already(record: Record) -> UserError:
    what = f"this machine has joined the head at {record.address} already, as {record.name}"
    return UserError(f"{what} (process {record.command.pid})", "fleet leave    ends that")


def _install_first(install: str, head: str) -> str:
    if not install:
        return "install here what runs there: the first line that fleet head prints"
    return f"paste this, then join again with ~/.fleet/bin/fleet join {head}\n  {install}"


def start_node(
    head: str,
    node: launch.RayNode,
    token: Path,
    labels: Mapping[str, str],
    extra: Mapping[str, str] | None,
) -> RayProcess:
    """Start a Ray node that joins the head; it is not up yet on return."""
    variables = launch.worker_environment(token, sys.platform, os.cpu_count() or 1)
    argv = launch.join_command(ray_program("node"), node, head, labels)
    return _start(argv, variables | dict(extra or {}), node.folder)


def _start(argv: list[str], variables: Mapping[str, str], folder: Path) -> RayProcess:
    environment = launch.without_ray(os.environ) | dict(variables)
    return RayProcess(argv, environment, folder / "ray-start.log")


def _end_earlier(path: Path, refusal: Callable[[Record], UserError]) -> None:
    """Refuse if a process of this record is alive; end what a killed one left behind."""
    record = read_record(path)
    if record is None:
        return
    if record.alive():
        raise refusal(record)
    end_recorded(record)
    path.unlink(missing_ok=True)
