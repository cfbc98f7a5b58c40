"""The change that must be put back, on disk before it is made: one open entry for each machine.

The file exists exactly as long as the machine may differ from its state before the trial.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet import durable
from fleet.errors import SettingFailed, SettingStuck
from fleet.units import NS_PER_S

FORM = 1
BOOT_SLACK_S = 60
"""Corrections of a wall clock are smaller; a machine does not boot within a minute of a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One change of one setting."""

    setting: str
    before: int
    wanted: int
    attempt_id: str
    written_unix_ns: int
    form: int = FORM

    def is_older_than(self, boot_unix_s: int | None) -> bool:
        """Tell whether the system has booted since, which undid the change."""
        if boot_unix_s is None:
            return False
        return self.written_unix_ns + BOOT_SLACK_S * NS_PER_S < boot_unix_s * NS_PER_S


class Journal:
    """Keeps `<name>.open.json` in a folder of the node's state, beside the last closed entry."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.path = folder / f"{name}.open.json"
        self._closed = folder / f"{name}.closed.json"

    def begin(self, entry: SettingChange) -> None:
        """Write the entry, durable on return; raises SettingFailed if it cannot be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(self.path, asdict(entry))
        except OSError as problem:
            what = f"{self.path}: the change cannot be recorded: {problem.strerror}"
            raise SettingFailed(
                what, "nothing was changed; make room, or make the folder writable"
            ) from (problem)

    def pending(self) -> SettingChange | None:
        """Return the open entry; raises SettingStuck if it cannot be read."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as problem:
            raise self._unreadable(str(problem)) from problem
        try:
            entry = SettingChange(**json.loads(text))
        except (ValueError, TypeError) as problem:
            raise self._unreadable("it is damaged") from problem
        if not _sound(entry):
            raise self._unreadable("it is of another form")
        return entry

    def close(self, entry: SettingChange, note: str) -> None:
        """Close the entry with a note on its end; raises SettingStuck if the file must stay."""
        content = asdict(entry) | {"note": note, "closed_unix_ns": time.time_ns()}
        try:
            _write(self._closed, content)
            self.path.unlink(missing_ok=True)
            durable.sync_folder(self._folder)
        except OSError as problem:
            what = f"{self.path}: cannot be closed: {problem.strerror}"
            raise SettingStuck(what, f"{entry.setting} is put back; remove the file") from problem

    def _unreadable(self, why: str) -> SettingStuck:
        return SettingStuck(
            f"{self.path} says what a trial changed here, and cannot be read: {why}",
            "set what it names as you want it (on a Mac: sudo sysctl iogpu.wired_limit_mb=0), "
            "then remove the file",
        )


def _sound(entry: SettingChange) -> bool:
    numbers = (entry.before, entry.wanted, entry.written_unix_ns)
    whole = all(isinstance(number, int) and number >= 0 for number in numbers)
    return whole and entry.form == FORM and isinstance(entry.setting, str)


def _write(path: Path, content: dict[str, object]) -> None:
    durable.replace(path, f"{json.dumps(content)}\n".encode())
