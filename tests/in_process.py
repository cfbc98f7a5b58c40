"""A command of fleet run in the test's own process, which spares the start of another Python.

The command sees an environment, a folder and standard streams of its own, as a process would.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from unittest.mock import patch

from fleet.cli.main import main

OUT, ERR = 1, 2
AT_START = dict(os.environ)
READ_AT_START = ("PYTHON", "LANG", "LC_", "TZ")
"""Variables with these beginnings are read when Python starts, and never again."""


def suits(environment: Mapping[str, str]) -> bool:
    """Tell whether this process was started as one with that environment would be."""
    given = {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}
    return all(AT_START.get(name) == value for name, value in given.items())


def run(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """Return the exit code and what the command wrote to standard output and standard error."""
    with ExitStack() as world:
        out, err = world.enter_context(_written_to(OUT)), world.enter_context(_written_to(ERR))
        world.enter_context(patch.object(sys, "stdin", world.enter_context(open(os.devnull))))
        world.enter_context(patch.object(sys, "argv", ["fleet", *words]))
        world.enter_context(patch.dict(os.environ, environment, clear=True))
        world.enter_context(chdir(folder))
        code = _exit_code()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return code, _text(out), _text(err)


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001 (Python itself would print any of them and end with 1)
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _written_to(number: int) -> Iterator[IO[bytes]]:
    """What is written to this stream, by the processes that the command starts too, is kept."""
    name = {OUT: "stdout", ERR: "stderr"}[number]
    getattr(sys, name).flush()
    before = os.dup(number)
    try:
        with TemporaryFile() as file:
            os.dup2(file.fileno(), number)
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            with stream, patch.object(sys, name, stream):
                yield file
    finally:
        os.dup2(before, number)
        os.close(before)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
