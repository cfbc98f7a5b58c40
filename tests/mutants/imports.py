"""Which test files can reach the rooms that are broken, by what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.mutants.copies import ROOT
from tests.mutants.targets import ROOMS, named_mutants


def touches_a_room(test: Path) -> bool:
    """Whether a test file imports a file that is broken, itself or through others."""
    return not _reached(test).isdisjoint(_broken())


@cache
def _broken() -> frozenset[Path]:
    """The files of all rooms and of the named mutants; of SQL the modules beside it."""
    files = {path for patterns in ROOMS.values() for glob in patterns for path in ROOT.glob(glob)}
    files |= {ROOT / mutant.path for mutant in named_mutants()}
    beside = {
        module for path in files if path.suffix == ".sql" for module in path.parent.glob("*.py")
    }
    return frozenset(files | beside)


def _reached(start: Path) -> set[Path]:
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _imported(path)
    return reached


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    tree = ast.parse(path.read_text())
    return tuple(file for name in _names(tree) for file in _files(name))


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(name: str) -> list[Path]:
    place = ROOT.joinpath(*name.split("."))
    return [p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
