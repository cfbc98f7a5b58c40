"""What is to be put back, on disk before it is changed: one open entry for each machine.

The file is there exactly as long as the machine may differ from how it was found.
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
"""Wall clocks are set right by some seconds; a machine does not boot within a minute of a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of one setting."""

    setting: str
    before: int
    wanted: int
    attempt_id: str
    written_unix_ns: int
    form: int = FORM

    def is_older_than(self, boot_unix_s: int | None) -> bool:
        """The system has started anew since, and forgotten the change."""
        if boot_unix_s is None:
            return False
        return self.written_unix_ns + BOOT_SLACK_S * NS_PER_S < boot_unix_s * NS_PER_S


class Journal:
    """`<name>.open.json` in a folder of the node's state; the last closed entry stays beside it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.path = folder / f"{name}.open.json"
        self._closed = folder / f"{name}.closed.json"

    def begin(self, entry: Entry) -> None:
        """Durable on return; raises SettingFailed where it cannot be written: nothing changed."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(self.path, asdict(entry))
        except OSError as problem:
            what = f"{self.path}: what is to be put back cannot be written: {problem.strerror}"
            raise SettingFailed(
                what, "nothing was changed; make room or the folder writable"
            ) from (problem)

    def pending(self) -> Entry | None:
        """The entry that nobody closed; raises SettingStuck where it cannot be read."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as problem:
            raise self._unreadable(str(problem)) from problem
        try:
            entry = Entry(**json.loads(text))
        except (ValueError, TypeError) as problem:
            raise self._unreadable("it is damaged") from problem
        if not _sound(entry):
            raise self._unreadable("it is of another form")
        return entry

    def close(self, entry: Entry, note: str) -> None:
        """The note says how it ended; raises SettingStuck where the file cannot be taken away."""
        told = asdict(entry) | {"note": note, "closed_unix_ns": time.time_ns()}
        try:
            _write(self._closed, told)
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


def _sound(entry: Entry) -> bool:
    numbers = (entry.before, entry.wanted, entry.written_unix_ns)
    whole = all(isinstance(number, int) and number >= 0 for number in numbers)
    return whole and entry.form == FORM and isinstance(entry.setting, str)


def _write(path: Path, content: dict[str, object]) -> None:
    durable.replace(path, f"{json.dumps(content)}\n".encode())
