"""Standard streams that take nothing, or not every letter: one message and its exit code, or the
letter escaped; never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.builders_flow import DEADLINE_S, Fleet

FULL = Path("/dev/full")
PRINTING: Sequence[Sequence[str]] = (
    ("--help",),
    ("results",),
    ("results", "--json"),
    ("compare", "--by", "machine"),
    ("sql", "from cells"),
    ("metrics", "--markdown"),
    ("config", "schema"),
    ("plan", "configs/demo.yaml"),
)
"""Commands that print more than a line on this store."""

PIPELINE = (
    "import subprocess, sys\n"
    "printer = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
    "printer.stdout.close()\n"
    "sys.exit(printer.wait())\n"
)
"""Runs a command whose reader has ended before it prints."""

IN_A_DELETED_FOLDER = (
    "import os, subprocess, sys, tempfile\n"
    "folder = tempfile.mkdtemp()\n"
    "os.chdir(folder)\n"
    "os.rmdir(folder)\n"
    "sys.exit(subprocess.call(sys.argv[1:]))\n"
)


def run(
    fleet: Fleet,
    words: Sequence[str],
    *,
    before: Sequence[str] = (),
    stdout: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    argv = [*before, sys.executable, "-m", "fleet", *words]
    environment = fleet.environment(**(env or {}))
    target = subprocess.PIPE if stdout is None else stdout.open("wb")
    try:
        return subprocess.run(
            argv,
            cwd=fleet.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.PIPE,
            timeout=DEADLINE_S,
        )
    finally:
        if not isinstance(target, int):
            target.close()


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_full_disk_behind_standard_output_is_one_message(
    measured: Fleet, words: Sequence[str]
) -> None:
    done = run(measured, words, stdout=FULL)
    assert done.stderr.decode().splitlines()[-1:] == [
        "the output cannot be written: No space left on device"
    ]
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_a_reader_that_has_ended_ends_the_command_without_a_word(
    measured: Fleet, words: Sequence[str]
) -> None:
    done = run(measured, words, before=[sys.executable, "-c", PIPELINE])
    assert done.stderr == b""
    assert done.returncode == 141


def test_letters_that_the_encoding_lacks_are_escaped(measured: Fleet, fleet: Fleet) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    query = "select 'µs → 日本' as unit"
    text = run(measured, ("sql", query), env=ascii_only)
    assert text.returncode == 0
    assert r"\xb5s \u2192 \u65e5\u672c" in text.stdout.decode("ascii")
    data = run(measured, ("sql", query, "--json"), env=ascii_only)
    assert json.loads(data.stdout.decode("ascii")) == [{"unit": "µs → 日本"}]
    refused = run(fleet, ("results", "--store", "./größe"), env=ascii_only)
    assert refused.returncode == 2
    assert r"gr\xf6\xdfe" in refused.stderr.decode("ascii")


def test_bytes_that_are_no_text_in_an_argument_are_refused(measured: Fleet) -> None:
    done = run(measured, ("show", "tr\udcff"))
    assert done.returncode == 2
    assert done.stderr == rb"tr\udcff: this argument is not text in UTF-8" + b"\n"


def test_a_deleted_folder_is_named_where_it_is_needed_and_no_matter_elsewhere(
    measured: Fleet,
) -> None:
    away = [sys.executable, "-c", IN_A_DELETED_FOLDER]
    read = run(measured, ("results",), before=away)
    assert (read.returncode, read.stderr) == (0, b"")
    for words in (("plan", "configs/practice.yaml"), ("submit", "tiny", "--job", "exact")):
        done = run(measured, words, before=away)
        assert done.returncode == 2
        assert done.stderr.decode().splitlines() == [
            "the current folder has been deleted",
            "  cd to a folder that exists",
        ]
