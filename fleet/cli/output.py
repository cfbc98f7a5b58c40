"""The program's standard streams: what they cannot show, and what happens when they cannot be
written. Every command passes through here, so that each such failure is one message."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO

from typer.core import TyperGroup

from fleet.errors import FleetError, UserError

CLOSED_PIPE_CODE = 141
"""As a shell reports a program that SIGPIPE ended, which is what `yes | head` gives."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Where a write fails so, it was one to a standard stream: the store names its files."""


class ClosedPipe(FleetError):
    """The reader of the output has ended: nobody is there to read a message."""

    exit_code = CLOSED_PIPE_CODE


class Program(TyperGroup):
    """All commands. What the system refuses ends as one message, also while help is printed."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        with reported():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        with reported():
            return super().invoke(ctx)


def prepare() -> None:
    """Escape what an encoding cannot show, such as `µ` in ASCII, and do without closed streams."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def check_arguments(words: Sequence[str]) -> None:
    """Raises UserError for bytes that are no text: no file, name or query of fleet's has such."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"{word}: this argument is not text in UTF-8") from None


def shows_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().startswith("utf")


@contextmanager
def reported() -> Iterator[None]:
    """Everything printed has left the program at the end; errors of the system are FleetErrors."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as problem:
        raise as_message(problem) from problem


def as_message(problem: OSError) -> FleetError:
    """An error of the operating system that no command has explained, for the user to mend."""
    why = problem.strerror or str(problem)
    if problem.errno == errno.EPIPE:
        return ClosedPipe("")
    if problem.filename is not None:
        return UserError(f"{problem.filename}: {why}")
    if problem.errno in NO_ROOM:
        return UserError(f"the output cannot be written: {why}")
    if not _is_current_folder_there():
        return UserError("the current folder has been deleted", "cd to a folder that exists")
    return UserError(why)


def end(problem: FleetError) -> int:
    """Print the message if standard error takes it; return the exit code."""
    if str(problem):
        with suppress(OSError):
            print(problem, file=sys.stderr, flush=True)
    _discard_what_is_left()
    return problem.exit_code


def _discard_what_is_left() -> None:
    """Python writes what is left in its buffers when it ends, and would fail once more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _is_current_folder_there() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
