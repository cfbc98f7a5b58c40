"""The processes that tests start, as /proc shows them; where there is no /proc, there are none.

Each test process puts a mark of its own into its environment, and whatever it starts inherits the
mark. As a program, `processes.py MARK` waits for the end of its standard input, which comes when
the test run is over or was killed, and then ends every process that still bears the mark.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
MARK = "FLEET_TEST_SESSION"
NAME_LENGTH = 200


def living() -> dict[int, int]:
    """Return the parent of each process, by process id; the dead ones are left out."""
    parents = {}
    for folder in PROC.iterdir() if PROC.is_dir() else ():
        if folder.name.isdigit():
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    parents[int(folder.name)] = int(fields[1])
    return parents


def marked(mark: str) -> set[int]:
    """Return the living processes whose mark is this one, or an extension of it after a dot."""
    entry = f"{MARK}={mark}".encode()
    return {pid for pid in living() if _bears(pid, entry)}


def _bears(pid: int, entry: bytes) -> bool:
    with suppress(OSError):
        for each in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            if each == entry or each.startswith(entry + b"."):
                return True
    return False


def descendants(roots: set[int]) -> set[int]:
    """Return the living processes below these; the roots themselves are left out."""
    parents = living()
    below: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in roots | below} - below:
        below |= more
    return below - roots


def command(pid: int) -> str:
    """Return the command line of a process; it is empty where the process has just ended."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    return words.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def name(pid: int) -> str:
    """Return what a message says of a process."""
    return f"{pid} {command(pid)[:NAME_LENGTH]}"


def kill(pids: set[int]) -> None:
    """End these processes at once."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def main() -> int:
    """Wait until the test run has gone, then end what it has left."""
    sys.stdin.read()
    while left := marked(sys.argv[1]) - {os.getpid()}:
        for pid in left:
            print(f"left by the tests and ended: {name(pid)}", file=sys.stderr)
        kill(left)
    return 0


if __name__ == "__main__":
    sys.exit(main())
