"""Run the tests three times beside eight processes that compute all the time.

What pytest says last of each run is printed at the end; the exit code is 1 where a run failed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

BUSY = 8
TIMES = 3
COMPUTING = """
import sys, threading
threading.Thread(target=sys.stdin.read).start()
while threading.active_count() > 1:
    pass
"""
"""A program that computes until whoever has started it is gone."""


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Have so many processes compute as long as the block lasts."""
    argv = [sys.executable, "-I", "-S", "-c", COMPUTING]
    processes = [subprocess.Popen(argv, stdin=subprocess.PIPE) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.communicate()


def last_line(words: Sequence[str]) -> tuple[bool, str]:
    """Return whether a run of the tests is green, and the last line that it printed."""
    argv = [sys.executable, "-m", "pytest", *words]
    last = ""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return run.returncode == 0, last


def main() -> int:
    """Run the tests as often as is asked for, and print how each run ended."""
    with busy(BUSY):
        ended = [last_line(sys.argv[1:]) for _ in range(TIMES)]
    print(f"\nbeside {BUSY} busy processes:")
    for green, line in ended:
        print(f"{'green' if green else 'failed'}: {line}")
    return 0 if all(green for green, _ in ended) else 1


if __name__ == "__main__":
    sys.exit(main())
