"""The wired limit of a scripted Mac: a number in a file, in place of the kernel.

It outlives the worker, and a person can change it: `echo 65536 > FILE`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from fleet.errors import SettingFailed
from fleet.model.script import MachineScript
from fleet.units import GIB, MIB

KEEP_FREE_MB = 8192
"""The same bound as that of the helper on a real Mac."""


class ScriptedLimit:
    """The wired limit of a scripted Mac as a ports.Setting; 0 is the limit of the script."""

    name = "simulated.wired_limit_mb"

    def __init__(self, script: MachineScript, file: Path) -> None:
        self._script = script
        self.file = file

    def refusal(self) -> str:
        """Return why the script does not allow a change; empty: it does."""
        if self._script.wired_limit:
            return ""
        return "fleet may not set the wired limit; to allow it: wired_limit: true in its script"

    def current(self) -> int:
        """Return the limit; raises SettingFailed if the file is damaged."""
        try:
            text = self.file.read_text().strip()
        except FileNotFoundError:
            return 0
        except (OSError, UnicodeDecodeError) as problem:
            raise SettingFailed(f"{self.file}: {problem}", "") from problem
        if not re.fullmatch(r"\d{1,7}", text, re.ASCII):
            raise SettingFailed(f"{self.file} reads {text!r}, which is no limit in MiB", "")
        return int(text)

    def reading(self) -> int | None:
        """Return the limit as a probe reads it; None: the file is damaged."""
        try:
            return self.current()
        except SettingFailed:
            return None

    def script_now(self) -> MachineScript:
        """Return the script of the machine as an engine that starts now sees it."""
        effective_mb = self.current() or self._script.gpu_memory_mb
        return self._script.model_copy(update={"gpu_memory_mb": effective_mb})

    def apply(self, value: int) -> None:
        """Set the limit; raises SettingFailed for a value above the bound."""
        most = self._script.memory_gb * GIB // MIB - KEEP_FREE_MB
        if value > most:
            raise SettingFailed(f"{self.name} was not set to {value}: above {most}", "")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            draft = self.file.with_suffix(f".{os.getpid()}")
            draft.write_text(f"{value}\n")
            draft.replace(self.file)
        except OSError as problem:
            raise SettingFailed(f"{self.file}: {problem.strerror}", "") from problem

    def verify(self, value: int) -> None:
        """Raise SettingFailed if the limit has another value."""
        if (now := self.current()) != value:
            raise SettingFailed(f"{self.name} is {now} after it was set to {value}", "")

    def restore(self, before: int) -> None:
        """Set the limit back."""
        if self.current() != before:
            self.apply(before)
