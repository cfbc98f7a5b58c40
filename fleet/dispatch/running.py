"""A head or node that this command has started and watches over."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from fleet.dispatch.access import read_token
from fleet.dispatch.processes import RayProcess
from fleet.dispatch.records import Record
from fleet.dispatch.versions import VersionsServer
from fleet.errors import FleetUnreachable
from fleet.ports import Stop

HEAD_UP_S = 90.0
WATCH_S = 2.0


class Running:
    """A started head or node; it ends with its `with` block, together with its record."""

    def __init__(self, record: Record, path: Path, process: RayProcess) -> None:
        self.record = record
        self._path = path
        self._process = process

    @property
    def address(self) -> str:
        return self.record.address

    def watch(self, stop: Stop) -> None:
        """Watch until `stop` is set; raise FleetUnreachable if Ray ends by itself."""
        while not stop.wait(WATCH_S):
            self.check()

    def check(self) -> None:
        """Raise FleetUnreachable if Ray has ended by itself."""
        if not self._process.running():
            last = self._process.log_text().strip().rpartition("\n")[2]
            raise FleetUnreachable(f"Ray ended on this machine: {last[:300]}", self._start_hint())

    def stop(self) -> None:
        """End Ray, and remove the record."""
        self._process.stop()
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.stop()

    def _start_hint(self) -> str:
        return f"fleet join {self.address}" if self.record.name else "fleet head"


class Head(Running):
    """The head: a Ray node that runs no work, and the versions endpoint beside it."""

    def __init__(
        self, record: Record, path: Path, process: RayProcess, versions: VersionsServer
    ) -> None:
        super().__init__(record, path, process)
        self._versions = versions

    def wait_for_jobs(self) -> None:
        """Wait until the Jobs interface answers; raise FleetUnreachable."""
        port, token = self.record.dashboard_port, read_token(self._path.with_name("token"))
        if not wait(lambda: _jobs_answer(port, token), HEAD_UP_S):
            what = f"127.0.0.1:{port}: Ray's dashboard does not answer"
            raise FleetUnreachable(what, "fleet leave; fleet head")

    def stop(self) -> None:
        """End the endpoint and Ray, and remove the record."""
        self._versions.close()
        super().stop()


def _jobs_answer(port: int, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        url = f"http://127.0.0.1:{port}/api/jobs/"
        reply = httpx.get(url, headers=headers, trust_env=False, verify=False, timeout=5)
    except httpx.TransportError:
        return False
    return reply.status_code == 200


def wait(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait for the condition; return False if the deadline comes first."""
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True
