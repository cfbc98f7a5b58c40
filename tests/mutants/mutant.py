"""One change to one file, and the name by which it is known again after other edits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """Bytes `start` to `end` of a file become `replacement`."""

    path: str
    scope: str
    """The function, class, view or question that holds the change; empty for a module."""
    line: int
    operator: str
    start: int
    end: int
    replacement: str
    before: str
    after: str
    """The changed lines, as a person reads them."""
    at_import: bool = False
    """It changes what is computed when the module is imported, not what a function does."""
    name: str = ""
    """Of a mutant that is always among those made."""

    def identity(self) -> tuple[str, str, str]:
        """What stays when lines move or the file gets another name."""
        return self.scope, self.before, self.after

    def rank(self, seed: int) -> str:
        """The place of this mutant in the order that a seed gives; equal on every machine."""
        text = "\n".join((str(seed), self.operator, *self.identity()))
        return hashlib.sha256(text.encode()).hexdigest()

    def applied(self, source: bytes) -> bytes:
        """Return the source of the file with the change in it."""
        return source[: self.start] + self.replacement.encode() + source[self.end :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An edit that an operator proposes, in bytes of the source."""

    operator: str
    start: int
    end: int
    replacement: str


def made(
    path: str, scope: str, source: bytes, change: Change, *, at_import: bool = False
) -> Mutant:
    """Return the mutant of a change, with its lines before and after."""
    start, end, new = change.start, change.end, change.replacement.encode()
    first = source.rfind(b"\n", 0, start) + 1
    last = source.find(b"\n", end)
    last = len(source) if last < 0 else last
    return Mutant(
        path=path,
        scope=scope,
        at_import=at_import,
        line=source.count(b"\n", 0, start) + 1,
        operator=change.operator,
        start=start,
        end=end,
        replacement=change.replacement,
        before=_one_line(source[first:last]),
        after=_one_line(source[first:start] + new + source[end:last]),
    )


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())
