"""Run commands of the system with a deadline; tests use recorded outputs instead."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fleet.ports import Commands, Output

STEADY = frozenset({"uname", "sw_vers", "lscpu", "dmidecode"})
"""Commands whose output stays the same while a system runs."""


class SystemCommands:
    """The commands of this system."""

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        """Run a command in the C locale, without input."""
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                timeout=deadline_s,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            return Output(code=None, stdout="", stderr=str(problem))
        return Output(
            code=done.returncode,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
        )

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None if it cannot be read."""
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None


class Remembering:
    """Runs each command with a steady output once, since every trial looks at its machine twice.

    A command that ran past its deadline is run again.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._outputs: dict[tuple[str, ...], Output] = {}

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        """Return the remembered output, or run the command."""
        known = self._outputs.get(tuple(argv))
        if known is not None:
            return known
        output = self._commands.run(argv, deadline_s)
        if argv[0] in STEADY and not output.late:
            self._outputs[tuple(argv)] = output
        return output

    def read(self, path: str) -> str | None:
        """Return the text of a file as it is now."""
        return self._commands.read(path)
