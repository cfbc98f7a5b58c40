"""Results on the node until the coordinator has stored them: one file each, durable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleet import durable
from fleet.errors import StoreUnusable
from fleet.model.measure import TrialResult
from fleet.ports import Say

SET_ASIDE = "set-aside"
"""Folder below a spool: results that the store cannot hold, each with the reason beside it."""


@cache
def _codec() -> TypeAdapter[TrialResult]:
    return TypeAdapter(TrialResult)


def to_json(result: TrialResult) -> bytes:
    return _codec().dump_json(result)


def from_json(text: bytes) -> TrialResult:
    """Raises ValueError where the text is no result of this version's form."""
    try:
        return _codec().validate_json(text)
    except ValidationError as problem:
        raise ValueError(str(problem)) from problem


class Spool:
    """Files named by attempt id under one folder of the node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, result: TrialResult) -> None:
        """Durable on return."""
        _write(self._path(result.attempt_id), to_json(result))

    def waiting(self, say: Say) -> Iterator[TrialResult]:
        """Oldest first; a file that cannot be read is put aside as `.bad`, never deleted, and
        `say` hears of it."""
        files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in files:
            try:
                yield from_json(path.read_bytes())
            except ValueError as problem:
                aside = path.rename(path.with_suffix(".bad"))
                why = str(problem).partition("\n")[0]
                say(f"a spooled result cannot be read and is put aside as {aside}: {why}")

    def set_aside(self, result: TrialResult, why: str) -> Path:
        """Takes a result out of the way for good; its file, which has the reason in a .txt beside
        it. Durable on return; raises StoreUnusable where it cannot be kept."""
        folder, attempt_id = self.folder / SET_ASIDE, result.attempt_id
        try:
            number = len(list(folder.glob(f"{attempt_id}*.json")))
            name = f"{attempt_id}-again-{number}" if number else attempt_id
            path = folder / f"{name}.json"
            _write(folder / f"{name}.txt", f"{why}\n".encode(errors="replace"))
            _write(path, _whole_text(result))
            self.forget(attempt_id)
        except OSError as problem:
            what = f"{folder}: a result cannot be set aside: {problem.strerror}"
            raise StoreUnusable(what, f"see what is full: df -h {self.folder}") from None
        return path

    def forget(self, attempt_id: str) -> None:
        self._path(attempt_id).unlink(missing_ok=True)

    def _path(self, attempt_id: str) -> Path:
        return self.folder / f"{attempt_id}.json"


def node_spool(home: Path, machine_id: str) -> Spool:
    """The spool of one machine below a home."""
    return Spool(home / "spool" / machine_id)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(path, content)


def _whole_text(result: TrialResult) -> bytes:
    """JSON, or what can be read of it by a person, where a text in it has no form as JSON."""
    try:
        return to_json(result)
    except ValueError:
        return repr(result).encode(errors="backslashreplace")
