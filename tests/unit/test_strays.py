"""The guard against processes that tests leave behind, on test runs of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import processes
from tests.builders_flow import DEADLINE_S, until

CHECKOUT = Path(__file__).parents[2]
CONFTEST = """
from tests import strays
strays.ENDING_S = {ending_s}
pytest_configure = strays.pytest_configure
"""
START = """
import subprocess, sys
from pathlib import Path

def start(program, **how):
    argv = [sys.executable, "-c", f"import os, time; {program}", "SIGN"]
    subprocess.Popen(argv, stdout=subprocess.PIPE, **how).stdout.readline()

LIVES = "print(flush=True); time.sleep(600)"
"""
pytestmark = pytest.mark.skipif(not processes.PROC.is_dir(), reason="processes are read from /proc")


@pytest.fixture
def sign(tmp_path: Path) -> Iterator[str]:
    """A word on the command lines of a test's processes; none of them outlives the test."""
    yield f"sign-{tmp_path}"
    processes.kill(bearing(f"sign-{tmp_path}"))


def bearing(sign: str) -> set[int]:
    return {pid for pid in processes.living() if sign in processes.command(pid)}


def started(
    tmp_path: Path, sign: str, tests: str, *words: str, ending_s: float = 0.2
) -> subprocess.Popen[str]:
    """A run of these tests with a guard and a keeper of its own."""
    (tmp_path / "conftest.py").write_text(CONFTEST.format(ending_s=ending_s))
    (tmp_path / "test_it.py").write_text(START.replace("SIGN", sign) + tests)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *words, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def printed(tmp_path: Path, sign: str, tests: str, *words: str, ending_s: float = 0.2) -> str:
    run = started(tmp_path, sign, tests, *words, ending_s=ending_s)
    return run.communicate(timeout=DEADLINE_S)[0]


@pytest.mark.parametrize("words", [(), ("-n1",)])
def test_what_a_failing_test_leaves_is_named_and_ended(
    tmp_path: Path, sign: str, words: tuple[str, ...]
) -> None:
    left = "def test_it(): start(LIVES); assert 1 == 2\ndef test_more(): pass\n"
    said = printed(tmp_path, sign, left, *words)
    assert "1 failed, 1 passed, 1 error" in said
    assert "assert 1 == 2" in said
    assert "processes left behind: " in said
    assert sign in said
    assert bearing(sign) == set()


@pytest.mark.parametrize(
    "program",
    ["os.fork() and os._exit(0); os.setsid(); print(flush=True); time.sleep(600)", "LIVES"],
)
def test_neither_a_daemon_nor_a_bare_environment_hides_a_process(
    tmp_path: Path, sign: str, program: str
) -> None:
    bare = ", env={}" if program == "LIVES" else ""
    call = "LIVES" if program == "LIVES" else repr(program)
    said = printed(tmp_path, sign, f"def test_it(): start({call}{bare})\n")
    assert "1 passed, 1 error" in said
    assert bearing(sign) == set()


def test_a_process_lives_as_long_as_the_fixture_that_started_it(tmp_path: Path, sign: str) -> None:
    held = """
import pytest

@pytest.fixture(scope="module")
def server():
    start(LIVES)

def test_it(server): pass
def test_more(server): pass
"""
    said = printed(tmp_path, sign, held)
    assert "2 passed, 1 error" in said
    assert "ERROR at teardown of test_more" in said
    assert bearing(sign) == set()


def test_a_process_that_ends_by_itself_is_waited_for(tmp_path: Path, sign: str) -> None:
    short = "def test_it(): start('print(flush=True); time.sleep(0.05)')\n"
    assert "1 passed in" in printed(tmp_path, sign, short, ending_s=DEADLINE_S)


def test_a_test_run_that_is_killed_leaves_nothing(tmp_path: Path, sign: str) -> None:
    program = "def test_it(): start(LIVES); Path('up').touch(); sys.stdin.read()\n"
    with started(tmp_path, sign, program, "-s") as run:
        until((tmp_path / "up").exists)
        assert bearing(sign) != set()
        run.send_signal(signal.SIGKILL)
    until(lambda: bearing(sign) == set())
