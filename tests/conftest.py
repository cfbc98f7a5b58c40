"""For all tests: no property test fails because the machine is slow, and none only now and then."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import strays
from tests.builders_flow import Fleet

settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""Of tests that run side by side: each process has a temporary folder of its own, and in it the
locks of machines (FLEET_LOCKS). Else scripted machines of one name would wait for each other."""


def pytest_configure(config: pytest.Config) -> None:
    strays.pytest_configure(config)
    if WORKER:
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix=f"{WORKER}-")
    os.environ["FLEET_LOCKS"] = str(Path(tempfile.gettempdir()) / "fleet-locks")


def pytest_unconfigure(config: pytest.Config) -> None:
    if WORKER:
        shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A home of its own, empty; whatever was started in it ends with the test."""
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.clear()


LONG = ("flow/test_ray.py", "flow/test_new_machine.py", "flow/test_selftest.py", "flow/")
LONG_TOO = ("real_ollama/", "faults/", "record/", "contract/", "queries/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that no process is left with one at the end."""
    items.sort(key=lambda item: _rank(item.path.as_posix()))


def _rank(path: str) -> int:
    ranks = (rank for rank, part in enumerate((*LONG, *LONG_TOO)) if f"/tests/{part}" in path)
    return next(ranks, len(LONG) + len(LONG_TOO))
