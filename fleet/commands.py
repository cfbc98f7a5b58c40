"""Commands of the system, run with a deadline; recorded outputs take its place in tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fleet.ports import Output


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
