"""A head and its nodes as processes of this machine: start, watch, note, stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from fleet.dispatch import launch
from fleet.dispatch.access import make_token, read_token, save_token, token_file
from fleet.dispatch.places import (
    fresh_folder,
    host_label,
    own_address,
    ray_program,
    require_free,
    resolved,
    split_address,
)
from fleet.dispatch.processes import GRACE_S, RayProcess, mark
from fleet.dispatch.records import HEAD, NODE, Record, end_recorded, read_record, write_record
from fleet.dispatch.versions import (
    Versions,
    VersionsServer,
    ask_versions,
    check_versions,
    install_line,
    installed,
)
from fleet.errors import FleetUnreachable, UserError
from fleet.ports import Stop

HEAD_UP_S = 90.0
NODE_UP_S = 60.0
WATCH_S = 2.0
LEAVE_S = 15.0
BESIDE_HEAD = 100
"""Shift of the ports of a node on the head's own machine."""


class Running:
    """A started head or node: ends with the block it is used in, with its record."""

    def __init__(self, record: Record, path: Path, process: RayProcess) -> None:
        self.record = record
        self._path = path
        self._process = process

    @property
    def address(self) -> str:
        return self.record.address

    def watch(self, stop: Stop) -> None:
        """Until `stop` is set; raises FleetUnreachable when Ray ends by itself."""
        while not stop.wait(WATCH_S):
            self.check()

    def check(self) -> None:
        """Raises FleetUnreachable where Ray has ended by itself."""
        if not self._process.running():
            last = self._process.log_text().strip().rpartition("\n")[2]
            raise FleetUnreachable(f"Ray ended on this machine: {last[:300]}", self._again())

    def stop(self) -> None:
        self._process.stop()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.stop()

    def _again(self) -> str:
        return f"fleet join {self.address}" if self.record.name else "fleet head"


class Head(Running):
    """The head: Ray without work of its own, and the versions endpoint beside it."""

    def __init__(
        self, record: Record, path: Path, process: RayProcess, versions: VersionsServer
    ) -> None:
        super().__init__(record, path, process)
        self._versions = versions

    def wait_for_jobs(self) -> None:
        """Until the Jobs interface answers; raises FleetUnreachable."""
        port, token = self.record.dashboard_port, read_token(self._path.with_name("token"))
        if not _wait(lambda: _jobs_answer(port, token), HEAD_UP_S):
            what = f"127.0.0.1:{port}: Ray's dashboard does not answer"
            raise FleetUnreachable(what, "install the head with: ollama-fleet[head]")

    def stop(self) -> None:
        self._versions.close()
        super().stop()


def start_head(
    state: Path,
    *,
    own_ip: str | None = None,
    ports: launch.Ports | None = None,
    extra: Mapping[str, str] | None = None,
) -> Head:
    """Start Ray's head on this machine; up on return, its Jobs interface some seconds later.

    `extra`: environment that the coordinator's jobs shall see. Raises FleetUnreachable where it
    does not come up, UserError where one runs already or the token is not private.
    """
    path, ports = state / HEAD, ports or launch.Ports()
    _end_earlier(path, "a head runs here already", "fleet leave")
    token = read_token(make_token(state))
    require_free(ports)
    ip = own_ip or own_address()
    versions = VersionsServer(ip, ports.versions, installed(), token)
    variables = launch.head_environment(token_file(state), ports, sys.platform)
    process: RayProcess | None = None
    try:
        folder = fresh_folder(state, "h")
        argv = launch.head_command(ray_program(), ip, folder, ports)
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
        command=mark(os.getpid()),
        ray=(process.mark,),
    )
    write_record(path, record)
    return Head(record, path, process, versions)


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
    versions = ask_versions(ip, port - 1, secret, deadline_s)
    if problem := check_versions(installed(), versions):
        raise problem
    _end_earlier(path, "this machine has joined already", "fleet leave")
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
        versions=versions,
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
            _wait(lambda record=record: not record.command.alive(), LEAVE_S)  # type: ignore[misc]
        end_recorded(record, grace_s)
        path.unlink(missing_ok=True)
        found = True
    return found


def running_head(state: Path) -> Record | None:
    """The head that runs on this machine from this state folder, if one does."""
    record = read_record(state / HEAD)
    return record if record is not None and record.alive() else None


def join_lines(head_address: str, versions: Versions) -> list[str]:
    """What to paste on a new machine; the token is asked for on standard input."""
    return [install_line(versions), f"fleet join {address_to_type(head_address)}"]


def address_to_type(head: str) -> str:
    """The head's address as `fleet join` wants it, without a port that is the usual one."""
    host, port = split_address(head)
    return host if port == launch.Ports().gcs else head


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
    argv = launch.join_command(ray_program(), head, own_ip, folder, ports, labels)
    return _start(argv, variables | dict(extra or {}), folder)


def _start(argv: list[str], variables: Mapping[str, str], folder: Path) -> RayProcess:
    environment = launch.without_ray(os.environ) | dict(variables)
    return RayProcess(argv, environment, folder / "ray-start.log")


def _end_earlier(path: Path, what: str, mend: str) -> None:
    """Refuse beside a living one; end what a killed one left behind."""
    record = read_record(path)
    if record is None:
        return
    if record.alive():
        raise UserError(f"{what} (process {record.command.pid})", mend)
    end_recorded(record)
    path.unlink(missing_ok=True)


def _jobs_answer(port: int, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        url = f"http://127.0.0.1:{port}/api/jobs/"
        reply = httpx.get(url, headers=headers, trust_env=False, verify=False, timeout=5)
    except httpx.TransportError:
        return False
    return reply.status_code == 200


def _wait(condition: Callable[[], bool], deadline_s: float) -> bool:
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True
