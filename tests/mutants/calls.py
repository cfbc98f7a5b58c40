"""Which test calls which function of fleet: a plugin of pytest that writes this to a file.

It also notes the files of SQL that a test opens. Only tests that pass are noted.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

MOST_CPU_S = 8.0
"""A test that works longer is of no use here, and is cut off."""


class TooLong(BaseException):
    """Ends a test, whatever it catches."""


class Calls:
    """The functions and files of each test, as `fleet/room/module.py::Class.method`."""

    def __init__(self, tree: Path, output: Path) -> None:
        self._package = f"{tree / 'fleet'}/"
        self._cut = len(str(tree)) + 1
        self._output = output
        self._seen: set[Any] = set()
        self._shared: dict[tuple[str, str], set[Any]] = {}
        """What a fixture of several tests called when it was made, by test file and name."""
        self._numbers: dict[str, int] = {}
        self._tests: dict[str, dict[str, object]] = {}
        self._failed: set[str] = set()
        sys.addaudithook(self._audit)
        signal.signal(signal.SIGPROF, _cut_off)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Trace the calls of one test, its fixtures among them."""
        self._seen, began = set(), time.process_time()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            seen = self._seen.union(*self._of_fixtures(item))
            names = sorted({self._name(each) for each in seen} - {""})
            calls = [self._numbers.setdefault(name, len(self._numbers)) for name in names]
            self._tests[item.nodeid] = {"seconds": time.process_time() - began, "calls": calls}

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Iterator[object]:
        """Note apart what is called once for several tests."""
        if fixturedef.scope == "function":
            return (yield)
        before, self._seen = self._seen, set()
        try:
            return (yield)
        finally:
            self._shared[str(request.path), fixturedef.argname] = self._seen
            self._seen = before | self._seen

    def _of_fixtures(self, item: pytest.Item) -> list[set[Any]]:
        names = getattr(item, "fixturenames", ())
        return [self._shared.get((str(item.path), name), set()) for name in names]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Leave out a test that did not pass: what it says of a mutant has no value."""
        if not (report.passed or report.when == "teardown"):
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write what was gathered."""
        tests = {key: facts for key, facts in self._tests.items() if key not in self._failed}
        self._output.write_text(json.dumps({"names": list(self._numbers), "tests": tests}))

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> None:
        self._seen.add(frame.f_code)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".sql"):
            self._seen.add(str(arguments[0]))

    def _name(self, seen: Any) -> str:
        """Empty for what is not of this package."""
        path = seen if isinstance(seen, str) else seen.co_filename
        if not path.startswith(self._package):
            return ""
        function = "" if isinstance(seen, str) else seen.co_qualname.partition(".<locals>")[0]
        return f"{path[self._cut :]}::{function}"


def _cut_off(_signal: int, _frame: FrameType | None) -> None:
    raise TooLong
