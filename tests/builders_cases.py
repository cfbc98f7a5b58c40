"""The small inputs of public reports that lie beside the project, where they do.

They are read where they are: nothing of them is part of the project.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.builders_flow import until

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases"
with_cases = pytest.mark.skipif(not CASES.is_dir(), reason=f"no such folder here: {CASES}")
"""Marks the tests of a module that reads the inputs."""


def case(number: str) -> Path:
    """The input with this number."""
    [file] = CASES.glob(f"{number}-*")
    return file


def printed_by(number: str) -> list[str]:
    """Lines that a program of the folder prints when the project's Python runs it."""
    done = subprocess.run(
        [sys.executable, str(case(number))], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@contextmanager
def fake_ollama(mode: str) -> Iterator[dict[str, str]]:
    """Runs the folder's fake Ollama; yields the environment that leads to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-W", "ignore", str(case("30")), str(port), mode]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, f"the fake Ollama ended: {mode}"
        yield {"OLLAMA_HOST": f"127.0.0.1:{port}"}
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def fake_nvidia_smi(folder: Path) -> Path:
    """A folder for PATH in which the folder's fake program is `nvidia-smi`."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "nvidia-smi").symlink_to(case("32"))
    (programs / case("24").name).symlink_to(case("24"))
    return programs
