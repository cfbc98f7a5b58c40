"""A head and its nodes as processes of this machine: start, watch, note, stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
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
from fleet.dispatch.versions import VersionsServer, answers, ask_head, check_versions, installed
from fleet.dispatch.wheel import Wheel
from fleet.errors import UserError

NODE_UP_S = 60.0
LEAVE_S = 15.0
BESIDE_HEAD = 200
"""A head that measures too is a second Ray node on its machine: its ports stand so much higher."""


def start_head(
    state: Path,
    *,
    own_ip: str | None = None,
    ports: launch.Ports | None = None,
    extra: Mapping[str, str] | None = None,
    wheel: Wheel | None = None,
) -> Head:
    """Start Ray's head on this machine; up on return, its Jobs interface some seconds later.

    `extra`: environment that the coordinator's jobs shall see; `wheel`: what new machines install.
    Raises FleetUnreachable where it does not come up, UserError where one runs already or the
    token is not private.
    """
    path, ports = state / HEAD, ports or launch.Ports()
    _end_earlier(path, _head_already)
    token = read_token(make_token(state))
    require_free(ports)
    ip = own_ip or own_address()
    versions = VersionsServer(ip, ports.versions, installed(), token)
    variables = launch.head_environment(token_file(state), ports, sys.platform)
    process: RayProcess | None = None
    try:
        install = "" if wheel is None else _offered(wheel, versions, ip, ports, token)
        folder = fresh_folder(state, "h")
        argv = launch.head_command(ray_program("head"), ip, folder, ports)
        process = _start(argv, variables | dict(extra or {}), folder)
        process.wait_until_up(HEAD_UP_S)
    except BaseException:
        versions.close()
        if process is not None:
            process.stop()
        raise
    record = Record(
        address=f"{ip}:{ports.gcs}",
        dashboard_port=ports.dashboard,
        versions=installed(),
        own_ip=ip,
        name="",
        install=install,
        command=mark(os.getpid()),
        ray=(process.mark,),
    )
    write_record(path, record)
    return Head(record, path, process, versions)


def _offered(wheel: Wheel, server: VersionsServer, ip: str, ports: launch.Ports, token: str) -> str:
    """The line to paste on a new machine, once what it fetches is served."""
    shown = address_to_type(f"{ip}:{ports.gcs}")
    installer = make_installer(wheel, ip=ip, port=ports.versions, join=shown, token=token)
    server.offer(installer.line, installer.files)
    return installer.line


def join(
    head: str,
    state: Path,
    *,
    name: str | None = None,
    token: str | None = None,
    own_ip: str | None = None,
    ports: launch.Ports | None = None,
    extra: Mapping[str, str] | None = None,
    deadline_s: float = 20.0,
) -> Running:
    """Make this machine a node of the head at `head` (`host`, or `host:port`).

    `name`: only where one was asked for, since it becomes part of the machine's identity.
    `token`: as read from standard input; None: the one kept from before. Versions and token are
    checked with the head before Ray starts. Raises FleetUnreachable and UserError.
    """
    path = state / NODE
    labels = launch.node_labels(name or host_label(), name, int(time.time()))
    host, port = split_address(head)
    ip = resolved(host)
    secret = token.strip() if token is not None else read_token(token_file(state))
    answer = ask_head(ip, port - 1, secret, deadline_s)
    if problem := check_versions(installed(), answer.versions, _anew(answer.install, head)):
        raise problem
    _end_earlier(path, _joined_already)
    if ports is None:
        ports = launch.Ports().shifted(BESIDE_HEAD if running_head(state) else 0)
    require_free(ports)
    save_token(state, secret)
    own = own_ip or own_address(ip)
    process = start_node(
        f"{ip}:{port}", own, fresh_folder(state, "n"), token_file(state), ports, labels, extra
    )
    process.wait_until_up(NODE_UP_S)
    record = Record(
        address=f"{ip}:{port}",
        dashboard_port=0,
        versions=answer.versions,
        own_ip=own,
        name=labels[launch.NAME_LABEL],
        command=mark(os.getpid()),
        ray=(process.mark,),
    )
    write_record(path, record)
    return Running(record, path, process)


def leave(state: Path, grace_s: float = GRACE_S) -> bool:
    """End what `fleet head` or `fleet join` runs on this machine; False where nothing does.

    The command itself is asked (SIGTERM), so that it ends its Ray and tells its user; where it is
    gone or does not answer, the Ray processes it recorded are ended here.
    """
    found = False
    for path in (state / NODE, state / HEAD):
        record = read_record(path)
        if record is None:
            continue
        if record.command.alive() and record.command.pid != os.getpid():
            os.kill(record.command.pid, signal.SIGTERM)
            wait(lambda record=record: not record.command.alive(), LEAVE_S)  # type: ignore[misc]
        end_recorded(record, grace_s)
        path.unlink(missing_ok=True)
        found = True
    return found


def running_head(state: Path) -> Record | None:
    """The head that runs on this machine from this state folder, if one does."""
    return _running(state / HEAD)


def running_node(state: Path) -> Record | None:
    """What this machine has joined, if it has."""
    return _running(state / NODE)


def _running(path: Path) -> Record | None:
    record = read_record(path)
    return record if record is not None and record.alive() else None


def address_to_type(head: str) -> str:
    """The head's address as `fleet join` wants it, without a port that is the usual one."""
    host, port = split_address(head)
    return host if port == launch.Ports().gcs else head


def require_joinable(
    head: str, state: Path, name: str | None = None, deadline_s: float = 20.0
) -> None:
    """Raises what would keep this machine out, as far as it is known before the token is."""
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


def _anew(install: str, head: str) -> str:
    if not install:
        return "install here what runs there: the first line that fleet head prints"
    return f"paste this, then join again with ~/.fleet/bin/fleet join {head}\n  {install}"


def start_node(
    head: str,
    own_ip: str,
    folder: Path,
    token: Path,
    ports: launch.Ports,
    labels: Mapping[str, str],
    extra: Mapping[str, str] | None,
) -> RayProcess:
    variables = launch.worker_environment(token, sys.platform, os.cpu_count() or 1)
    argv = launch.join_command(ray_program("node"), head, own_ip, folder, ports, labels)
    return _start(argv, variables | dict(extra or {}), folder)


def _start(argv: list[str], variables: Mapping[str, str], folder: Path) -> RayProcess:
    environment = launch.without_ray(os.environ) | dict(variables)
    return RayProcess(argv, environment, folder / "ray-start.log")


def _end_earlier(path: Path, refusal: Callable[[Record], UserError]) -> None:
    """Refuse beside a living one; end what a killed one left behind."""
    record = read_record(path)
    if record is None:
        return
    if record.alive():
        raise refusal(record)
    end_recorded(record)
    path.unlink(missing_ok=True)
