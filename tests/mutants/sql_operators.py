"""The changes that are tried on SQL: comparisons turned, and numbers changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.mutants.mutant import Change, Mutant, made
from tests.mutants.numbers import other_numbers

COMPARISONS = {
    "<": ("<=", ">"),
    "<=": ("<", ">"),
    ">": (">=", "<"),
    ">=": (">", "<"),
    "=": ("<>",),
    "<>": ("=",),
}
TOKENS = re.compile(
    rb"(?P<skip>--[^\n]*|'(?:[^']|'')*'|\{\w*\}|^set [^;]*;|:=|->>?|=>)"
    rb"|(?P<word>[A-Za-z_$][\w$]*)"
    rb"|(?P<number>\d[\d_]*(?:\.\d+)?(?:e\d+)?)"
    rb"|(?P<comparison><=|>=|<>|<|>|=)",
    re.MULTILINE,
)
MADE = re.compile(rb"create or replace (?:view|macro) (\w+)")


def sql_mutants(path: str, source: bytes) -> Iterator[Mutant]:
    """Yield every mutant of one file of SQL, in the order of the source."""
    for token in TOKENS.finditer(source):
        for change in _changes(token):
            yield made(path, _scope(path, source, token.start()), source, change)


def _changes(token: re.Match[bytes]) -> Iterator[Change]:
    text = token[0].decode()
    if token["comparison"]:
        operator, others = "comparison", iter(COMPARISONS[text])
    elif token["number"]:
        operator, others = "number", other_numbers(text)
    else:
        return
    for other in others:
        yield Change(operator=operator, start=token.start(), end=token.end(), replacement=other)


def _scope(path: str, source: bytes, at: int) -> str:
    """The view that a change stands in; of a question its name."""
    names = MADE.findall(source, 0, at)
    return names[-1].decode() if names else PurePosixPath(path).stem
