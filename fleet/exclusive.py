"""While a machine is measured: nobody else measures on it, and it does not fall asleep."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.ports import Stop

POLL_S = 0.25
LONGEST_NOTE_BYTES = 4096


class MachineLock:
    """A lock of the machine itself; the kernel frees it when its holder dies.

    One of two: the lock held for one trial, and, with `whole_experiment`, the one that an
    experiment holds from its first look to its end.
    """

    def __init__(self, machine_id: str, *, whole_experiment: bool = False) -> None:
        kind = ".experiment" if whole_experiment else ""
        path = Path(tempfile.gettempdir()) / f"fleet-{machine_id}{kind}.lock"
        self._handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)

    def take(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, stop: Stop) -> bool:
        """True once it is held; False where `stop` came first."""
        while not stop.is_set():
            if self.take():
                return True
            stop.wait(POLL_S)
        return False

    def note(self, text: str) -> None:
        """Stays where it is when its holder dies; whoever holds the lock next can read it."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)

    def noted(self) -> str:
        return os.pread(self._handle, LONGEST_NOTE_BYTES, 0).decode(errors="replace")

    def release(self) -> None:
        os.close(self._handle)


def _awake_command() -> list[str] | None:
    if sys.platform == "darwin":
        return ["caffeinate", "-i", "-s", "-w", str(os.getpid())]
    if shutil.which("systemd-inhibit"):
        why = "--why=a benchmark runs"
        return ["systemd-inhibit", "--what=idle:sleep", "--who=fleet", why, "sleep", "infinity"]
    return None


@contextmanager
def awake() -> Iterator[None]:
    """A sleep assertion for as long as trials wait; a system without one goes on without."""
    command = _awake_command()
    if command is None:
        yield
        return
    quiet = subprocess.DEVNULL
    try:
        holder = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        holder.terminate()
        holder.wait()
