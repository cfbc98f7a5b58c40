"""One run of tests in a forked process, and how pytest and hypothesis are set for it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

EXAMPLES = 30
"""Of a property test that asks for no number of its own; always the same ones."""
LOOK_EVERY_S = 0.01
WALL_FACTOR = 6
"""Of a busy machine: so many times the limit of CPU time may pass on the clock."""
OPTIONS = (
    *("-q", "--hypothesis-profile=mutants", "--no-header", "--tb=no", "-W", "ignore"),
    *("-p", "no:cacheprovider", "-p", "no:xdist"),
)


class FirstFailure:
    """Remembers the first test that failed."""

    nodeid = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at the outcome of one phase of a test."""
        if report.failed and not self.nodeid:
            self.nodeid = report.nodeid


def register_profile() -> None:
    """Property tests draw the same examples in each run, and report the first that fails."""
    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=EXAMPLES,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def in_a_child(limit_s: float, run: Callable[[Path], None]) -> dict[str, object]:
    """Return what a run writes to the file that it is given, or that it took too long."""
    outcome = Path(os.environ["TMPDIR"]) / "outcome.json"
    outcome.unlink(missing_ok=True)
    began, child = time.monotonic(), os.fork()
    if child == 0:
        try:
            _prepare(limit_s)
            run(outcome)
        finally:
            os._exit(0)
    timed_out = not _ended(child, WALL_FACTOR * limit_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # whatever the tests of a mutant left running
    told = json.loads(outcome.read_text()) if outcome.exists() else {"code": -1, "killer": ""}
    return {**told, "timed_out": timed_out, "seconds": time.monotonic() - began}


def _prepare(limit_s: float) -> None:
    os.setsid()
    log = os.open(Path(os.environ["TMPDIR"]) / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    seconds = int(limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _ended(child: int, wall_s: float) -> bool:
    """Whether it ended by itself; it is killed by the system at its limit of CPU time."""
    end = time.monotonic() + wall_s
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return not os.WIFSIGNALED(status)
        time.sleep(LOOK_EVERY_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
