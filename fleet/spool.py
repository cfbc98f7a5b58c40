"""Results on the node until the coordinator has stored them: one file each, durable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleet.model.measure import TrialResult


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
        self.folder.mkdir(parents=True, exist_ok=True)
        staged = self.folder / f"{result.attempt_id}.part"
        with staged.open("wb") as file:
            file.write(to_json(result))
            file.flush()
            os.fsync(file.fileno())
        staged.rename(self._path(result.attempt_id))
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def waiting(self) -> Iterator[TrialResult]:
        """Oldest first; a file that cannot be read is put aside as `.bad`, never deleted."""
        files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in files:
            try:
                yield from_json(path.read_bytes())
            except ValueError:
                path.rename(path.with_suffix(".bad"))

    def forget(self, attempt_id: str) -> None:
        self._path(attempt_id).unlink(missing_ok=True)

    def _path(self, attempt_id: str) -> Path:
        return self.folder / f"{attempt_id}.json"
