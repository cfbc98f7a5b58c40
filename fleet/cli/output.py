"""The standard streams of the program, and one message for each way in which they fail."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import Any, TextIO

from typer.core import TyperGroup
from typer.exceptions import TyperException

from fleet.errors import FleetError, UserError
from fleet.terminal import cells, figures_wrapped, plain

CLOSED_PIPE_CODE = 141
"""The code by which a shell reports a program that SIGPIPE ended, as in `yes | head`."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Errors of a write to a standard stream: those of other files come with a file name."""

NARROWEST = 40
TYPED = re.compile(r"((next|again): +)?(fleet|cd|ssh|ollama) \S")
REMARK = re.compile(r"(?<=\S) {3,}(?=\S)")
"""The gap between a command and a remark about it on the same line."""
GOES_ON = " \\"
"""The end of a line that a shell continues on the next."""
STYLES = {
    "green": r"(?<=  )(faster|less)(?=$|  )",
    "red": r"(?<=  )(slower|more)(?=$|  )",
    "cyan": r"(?<=  )same(?=$|  )",
    "yellow": r"(?<=  )(not resolved|not comparable)(?=$|  )",
}
"""Colours of the words of verdicts, which stand in a column of their own."""


class ClosedPipe(FleetError):
    """The reader of the output has ended, so nobody would read a message."""

    exit_code = CLOSED_PIPE_CODE


class Program(TyperGroup):
    """All commands. A failure of the system ends as one message, also while help is printed."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Parse the command line."""
        with reported(), _usage_reported():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with reported(), _usage_reported():
            return super().invoke(ctx)


def prepare() -> None:
    """Escape what an encoding cannot show, such as `µ` in ASCII, and replace closed streams."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def check_arguments(words: Sequence[str]) -> None:
    """Raise UserError for bytes that are not text."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(f"{word}: this argument is not text in UTF-8") from None


def columns(stream: TextIO | None = None) -> int | None:
    """Return the width of the terminal; None for a file or a pipe, which takes whole lines."""
    stream = stream or sys.stdout
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named) > 0:
        return max(int(named), NARROWEST)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, NARROWEST)
    except (OSError, ValueError):
        return None


def say(text: str) -> None:
    """Print a message to standard error."""
    for line in shown([text], columns(sys.stderr)):
        print(line, file=sys.stderr, flush=True)


def emit(lines: Iterable[str], *, verdicts: bool = False) -> None:
    """Print lines to standard output, wrapped to the terminal and without control characters.

    `verdicts`: their words are coloured if the terminal shows colours.
    """
    text = list(shown(lines, columns()))
    if verdicts and sys.stdout.isatty():
        _print_coloured(text)
        return
    for line in text:
        print(line, flush=True)


def emit_data(lines: Iterable[str]) -> None:
    """Print lines that are pasted or read by programs, unbroken, without control characters."""
    for line in lines:
        print(plain(line))


def shown(lines: Iterable[str], width: int | None) -> Iterator[str]:
    """Yield the lines as a terminal of this width shows them."""
    for whole in lines:
        for line in plain(whole).split("\n"):
            yield from [line] if width is None else _broken(line, width)


def _broken(line: str, width: int) -> Iterator[str]:
    """Break a command as a shell allows it, with a remark about it below."""
    indent = line[: len(line) - len(line.lstrip())] + "  "
    if cells(line) <= width or not TYPED.match(line.strip()):
        yield from figures_wrapped(line, width, indent)
        return
    command, *remarks = REMARK.split(line, maxsplit=1)
    *parts, last = figures_wrapped(command, width - len(GOES_ON), indent)
    yield from (f"{part}{GOES_ON}" for part in parts)
    yield last
    for remark in remarks:
        yield from figures_wrapped(indent + remark, width)


def _print_coloured(lines: Sequence[str]) -> None:
    """Print with rich, which knows the colours of a terminal and honours NO_COLOR."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        text = Text(line)
        for style, pattern in STYLES.items():
            for word in re.finditer(pattern, line):
                if line[: word.start()].strip():  # what begins a line goes on from the one above
                    text.stylize(style, *word.span())
        console.print(text, soft_wrap=True)


def shows_unicode(stream: TextIO) -> bool:
    """Return whether the encoding of the stream has every letter."""
    return (stream.encoding or "").lower().startswith("utf")


@contextmanager
def reported() -> Iterator[None]:
    """Flush what was printed at the end, and turn errors of the system into FleetErrors."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as problem:
        raise as_message(problem) from problem


@contextmanager
def _usage_reported() -> Iterator[None]:
    """Report a wrong option or argument like any wrong input: one message, then a hint."""
    try:
        yield
    except TyperException as problem:
        context = getattr(problem, "ctx", None)
        words = problem.format_message()
        if context is None or words == context.get_help():
            raise
        if getattr(problem, "option_name", "") == "--store":
            raise _store_of_a_writer(context.command_path) from problem
        what = words.rstrip(".").replace(": Value error, ", ": ")
        raise UserError(what, f"{context.command_path} --help") from problem


def _store_of_a_writer(command: str) -> UserError:
    """Explain --store to a command that works in one home and does not know the option."""
    typed = shlex.join(["fleet", *sys.argv[1:]])
    what = f"--store names homes to read results from; {command} works in one home"
    return UserError(what, re.sub(r"--store(?=[= ]|$)", "--home", typed))


def as_message(problem: OSError) -> FleetError:
    """Return the message for an error of the system that no command has explained."""
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
    """Print the message, if standard error can take it; return the exit code."""
    if str(problem):
        with suppress(OSError):
            say(str(problem))
    _discard_what_is_left()
    return problem.exit_code


def _discard_what_is_left() -> None:
    """Empty the buffers, which Python would write when it ends, only to fail again."""
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
