"""Start Ray's processes in a session of their own, and end them by that session.

fleet never uses `ray stop`, which ends every Ray on a machine. Everything that `ray start --block`
starts, also the measuring processes, stays in the session of its leader. So fleet ends the session
of the leader that it recorded; the leader's start time tells it from an unrelated process that
later got the same id.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.dispatch.access import TOKEN_HINT
from fleet.errors import FleetError, FleetUnreachable, UserError

POLL_S = 0.1
GRACE_S = 6.0
KILLED_S = 2.0
UP = "Ray runtime started."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """A process that was seen: its id, and when it started in the system's own form."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        return started_at(self.pid) == self.started


def mark(pid: int) -> ProcessMark:
    """Return the mark of a running process."""
    return ProcessMark(pid=pid, started=started_at(pid) or "")


def started_at(pid: int) -> str | None:
    """Return when this process started, in the system's own form; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    ps = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return ps.stdout.strip() or None


def in_session(leader: int) -> list[int]:
    """Return every living process of the session, with its leader."""
    ps = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True)
    rows = (line.split(None, 1) for line in ps.stdout.splitlines())
    living = (int(pid) for pid, state in rows if not state.startswith("Z"))
    return [pid for pid in living if _session_of(pid) == leader]


def end_sessions(leaders: Sequence[int], grace_s: float = GRACE_S) -> None:
    """Ask each leader to end its processes, then kill what is left of their sessions."""
    for leader in leaders:
        _signal(leader, signal.SIGTERM)
    for pid in _left_after(leaders, grace_s):
        _signal(pid, signal.SIGKILL)
    _left_after(leaders, KILLED_S)


def _left_after(leaders: Sequence[int], seconds: float) -> list[int]:
    until = time.monotonic() + seconds
    while left := [pid for leader in leaders for pid in in_session(leader)]:
        if time.monotonic() > until:
            break
        time.sleep(POLL_S)
    return left


class RayProcess:
    """One `ray start --block` and all processes that it starts."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                start_new_session=True,
            )
        self.mark = mark(self._process.pid)
        self._raylet: int | None = None

    def wait_until_up(self, deadline_s: float) -> None:
        """Wait; if Ray does not come up, end it and raise FleetUnreachable or UserError."""
        until = time.monotonic() + deadline_s
        while UP not in self.log_text():
            ended = self._process.poll() is not None
            if ended or time.monotonic() > until:
                self.stop()
                raise self._why_not("ended" if ended else f"was not up in {deadline_s:.0f} s")
            time.sleep(POLL_S)
        self._raylet = self._find_raylet()

    def running(self) -> bool:
        """Return whether Ray runs: without its raylet, `ray start` would wait for ever."""
        return self._process.poll() is None and (
            self._raylet is None or started_at(self._raylet) is not None
        )

    def stop(self, grace_s: float = GRACE_S) -> None:
        """End the whole session."""
        end_sessions([self.mark.pid], grace_s)
        self._process.wait()

    def reap(self) -> None:
        """Take the exit code of a leader that `end_sessions` has ended."""
        self._process.wait()

    def log_text(self) -> str:
        """Return what Ray has printed."""
        try:
            return self._log.read_text(errors="replace")
        except OSError:
            return ""

    def _find_raylet(self) -> int | None:
        ps = subprocess.run(["ps", "-A", "-o", "pid=,comm="], capture_output=True, text=True)
        rows = (line.split(None, 1) for line in ps.stdout.splitlines())
        raylets = {int(pid) for pid, command in rows if command.rpartition("/")[2] == "raylet"}
        return next((pid for pid in raylets if _session_of(pid) == self.mark.pid), None)

    def _why_not(self, how: str) -> FleetError:
        text = self.log_text()
        if "uthenticat" in text:
            return UserError("the head refuses this machine's token", TOKEN_HINT)
        last = text.strip().rpartition("\n")[2] or "it printed nothing"
        return FleetUnreachable(f"Ray {how}: {last[:300]}", f"Ray's own messages: {self._log}")


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
