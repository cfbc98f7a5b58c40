"""For all tests: no property test fails because the machine is slow, and none only now and then."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.builders_flow import Fleet

settings.register_profile("steady", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("steady")

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
"""Of tests that run side by side: each process has a temporary folder of its own, and in it the
locks of machines (FLEET_LOCKS). Else scripted machines of one name would wait for each other."""


def pytest_configure(config: pytest.Config) -> None:
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
