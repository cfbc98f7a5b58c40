"""Keep others from measuring on a machine that is being measured, and keep it awake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet.durable import FOR_ALL_USERS, FileLock

SHARED = {"darwin": (Path("/Users/Shared"),), "linux": (Path("/run/lock"), Path("/var/tmp"))}
"""Folders that all users of a machine may write to, whatever their TMPDIR is."""


class MachineLock(FileLock):
    """A lock of the machine itself, for all its users.

    There are two: one for a single trial and, with `whole_experiment`, one that an experiment
    holds from its first look to its end.
    """

    def __init__(self, machine_id: str, *, whole_experiment: bool = False) -> None:
        kind = ".experiment" if whole_experiment else ""
        super().__init__(lock_folder() / f"{machine_id}{kind}.lock", FOR_ALL_USERS)


def lock_folder() -> Path:
    """Return FLEET_LOCKS, else a folder that all users share, else the temporary one."""
    named = os.environ.get("FLEET_LOCKS")
    if named:
        Path(named).mkdir(parents=True, exist_ok=True)
        return Path(named)
    for shared in SHARED.get(sys.platform, ()):
        folder = shared / "fleet"
        try:
            if not folder.exists():
                _make_for_all(folder)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path(tempfile.gettempdir())


def _make_for_all(folder: Path) -> None:
    """Make a folder that all users may write to; it is never there with narrower permissions.

    Whoever is second takes the folder of the first: were it to take another one, both would
    measure at the same time.
    """
    draft = Path(tempfile.mkdtemp(prefix=".fleet-", dir=folder.parent))
    draft.chmod(0o1777)
    try:
        draft.rename(folder)
    except OSError:
        draft.rmdir()


def _awake_command() -> list[str] | None:
    if sys.platform == "darwin":
        return ["caffeinate", "-i", "-s", "-w", str(os.getpid())]
    if shutil.which("systemd-inhibit"):
        why = "--why=a benchmark runs"
        return ["systemd-inhibit", "--what=idle:sleep", "--who=fleet", why, "sleep", "infinity"]
    return None


@contextmanager
def awake() -> Iterator[None]:
    """Hold a sleep assertion inside the block, on systems that have one."""
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
