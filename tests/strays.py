"""No test leaves a process behind: one that does fails, and its process is named and ended.

After each test that started a process, and after each file, whatever the tests of this process
have started and still lives must belong to a fixture of a wider scope. A keeper process ends the
rest even where the whole test run is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

import pytest

from tests import processes
from tests.processes import MARK

ENDING_S = 60.0
"""So long may a process that ends by itself take for it on a busy machine."""
POLL_S = 0.02
STARTING = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.spawn", "os.system")
"""The events by which Python tells that it starts a process."""
OF_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Helpers of Python's own that live as long as the process that uses them."""


class Strays:
    """What tests of this process have started, and which fixtures hold some of it."""

    def __init__(self, own: set[int]) -> None:
        self._own = own
        self._held: dict[object, set[int]] = {}
        self._started = False
        sys.addaudithook(self._see)

    def _see(self, event: str, _: object) -> None:
        if event in STARTING:
            self._started = True

    def _living(self) -> set[int]:
        here = os.getpid()
        marked = processes.marked(os.environ[MARK])
        return (marked | processes.descendants({here})) - {here} - self._own

    def _strays(self) -> set[int]:
        held = set().union(*self._held.values())
        strays = self._living() - held - processes.descendants(held)
        return {pid for pid in strays if not _is_of_python(pid)}

    def _ended(self) -> list[str]:
        """End what is still there after the time that ending may take, and return its names."""
        self._started = False
        end = time.monotonic() + ENDING_S
        while (strays := self._strays()) and time.monotonic() < end:
            time.sleep(POLL_S)
        names = [processes.name(pid) for pid in sorted(strays)]
        processes.kill(strays)
        return names

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        """What a fixture of a wider scope has started may live as long as the fixture."""
        if fixturedef.scope == "function":
            return (yield)
        before = self._living()
        made = yield
        self._held[fixturedef] = self._living() - before
        return made

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        self._held.pop(fixturedef, None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        last_of_file = nextitem is None or nextitem.path != item.path
        try:
            torn_down = yield
        except BaseException as problem:
            problem.add_note(f"processes left behind: {self._ended()}")
            raise
        if (self._started or last_of_file) and (names := self._ended()):
            pytest.fail(f"processes left behind: {'; '.join(names)}", pytrace=False)
        return torn_down


class Keeper:
    """A process that outlives the test run, however that ends, and clears up after it."""

    def __init__(self, mark: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", processes.__file__, mark],
            env={name: value for name, value in os.environ.items() if name != MARK},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def pytest_unconfigure(self) -> None:
        self._process.communicate()


def pytest_configure(config: pytest.Config) -> None:
    """The mark of a process that another test process has started begins with the other's mark."""
    worker = getattr(config, "workerinput", {}).get("workerid")
    above = os.environ.get(MARK)
    os.environ[MARK] = ".".join(filter(None, [above, worker or f"{os.getpid()}-{time.time_ns()}"]))
    if worker:
        config.pluginmanager.register(Strays(own=set()), "fleet-strays")
        return
    keeper = Keeper(os.environ[MARK])
    config.pluginmanager.register(keeper, "fleet-keeper")
    if not config.getoption("numprocesses", None):
        config.pluginmanager.register(Strays(own={keeper.pid}), "fleet-strays")


def _is_of_python(pid: int) -> bool:
    return any(name in processes.command(pid) for name in OF_PYTHON)
