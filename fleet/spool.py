"""Keep results on the node until the coordinator has stored them: one durable file each."""

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
"""A folder in the spool for results that the store cannot hold, each with its reason."""


@cache
def _codec() -> TypeAdapter[TrialResult]:
    return TypeAdapter(TrialResult)


def to_json(result: TrialResult) -> bytes:
    """Return the result as JSON."""
    return _codec().dump_json(result)


def from_json(text: bytes) -> TrialResult:
    """Read a result; raise ValueError if the text is not a result of this version."""
    try:
        return _codec().validate_json(text)
    except ValidationError as problem:
        raise ValueError(str(problem)) from problem


class Spool:
    """Files in one folder of the node, named by attempt id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, result: TrialResult) -> None:
        """Write a result durably."""
        _write(self._path(result.attempt_id), to_json(result))

    def waiting(self, say: Say) -> Iterator[TrialResult]:
        """Yield the results, oldest first.

        A file that cannot be read is renamed to `.bad`, never deleted, and reported to `say`.
        """
        files = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in files:
            try:
                yield from_json(path.read_bytes())
            except ValueError as problem:
                bad = path.rename(path.with_suffix(".bad"))
                why = str(problem).partition("\n")[0]
                say(f"a spooled result cannot be read; it is kept as {bad}: {why}")

    def set_aside(self, result: TrialResult, why: str) -> Path:
        """Set a result aside for good; return its file, beside which a .txt holds the reason.

        Both are durable on return. Raises StoreUnusable if they cannot be written.
        """
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
        """Remove the file of a stored result."""
        self._path(attempt_id).unlink(missing_ok=True)

    def _path(self, attempt_id: str) -> Path:
        return self.folder / f"{attempt_id}.json"


def node_spool(home: Path, machine_id: str, sender: str = "") -> Spool:
    """Return the spool of one machine below a home.

    `sender`: the id of the home that sent the work, where that is another one. Ids of attempts
    follow from what is measured, so two homes may ask one machine for the same; each has a spool of
    its own there, and gets its own results alone.
    """
    return Spool(home / "spool" / machine_id / sender)


def _write(path: Path, content: bytes) -> None:
    durable.make_private(path.parent)
    durable.replace(path, content)


def _whole_text(result: TrialResult) -> bytes:
    """Return JSON or, if a text in the result has no form in JSON, something for people to read."""
    try:
        return to_json(result)
    except ValueError:
        return repr(result).encode(errors="backslashreplace")
