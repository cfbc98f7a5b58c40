"""Commands of the system, run with a deadline; recorded outputs take its place in tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fleet.ports import Commands, Output

STEADY = frozenset({"uname", "sw_vers", "lscpu", "dmidecode"})
"""What these print stays the same while a system runs."""


class SystemCommands:
    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
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
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None


class Remembering:
    """Asks what stays the same once, since a machine is looked at before and after each trial.

    What did not come in time is asked again.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._told: dict[tuple[str, ...], Output] = {}

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        known = self._told.get(tuple(argv))
        if known is not None:
            return known
        output = self._commands.run(argv, deadline_s)
        if argv[0] in STEADY and not output.late:
            self._told[tuple(argv)] = output
        return output

    def read(self, path: str) -> str | None:
        return self._commands.read(path)
