"""Which tests can notice a mutant: those that call the function it lies in, the closest first."""

from __future__ import annotations

import ast
import hashlib
import json
import queue
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.mutants.copies import ROOT, Copy
from tests.mutants.imports import touches_a_room
from tests.mutants.mutant import Mutant

FOLDERS = ("tests/unit", "tests/queries")
BATCH = 4
"""Test files that one process runs while their calls are noted."""
BATCH_LIMIT_S = 900.0
LONGEST_TEST_S = 10.0
MOST_SECONDS = 40.0
MOST_TESTS = 150
"""Tests of one mutant: the closest ones, and of these no more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What one test reaches, as `Calls` notes it."""

    test: str
    seconds: float
    calls: frozenset[str]


def collected(
    copies: Sequence[Copy], path: Path, *, keep: bool, say: Callable[[str], None]
) -> CallMap:
    """Return the map of calls; test files that were changed since it was made are run again.

    `keep`: it is taken as it is, although fleet or the tests were changed.
    """
    fleet = _digest(sorted((ROOT / "fleet").rglob("*.*")))
    known = json.loads(path.read_text()) if path.exists() else {"fleet": "", "files": {}}
    files = known["files"] if keep or known["fleet"] == fleet else {}
    paths = [p for f in FOLDERS for p in sorted((ROOT / f).glob("test_*.py")) if touches_a_room(p)]
    hashes = {str(p.relative_to(ROOT)): _digest([p]) for p in paths}
    files = {name: facts for name, facts in files.items() if name in hashes}
    stale = [name for name, own in hashes.items() if files.get(name, {}).get("hash") != own]
    stale = [] if keep else stale
    batches = [stale[at : at + BATCH] for at in range(0, len(stale), BATCH)]
    for number, (batch, tests) in enumerate(_traced(copies, batches), 1):
        for name in batch:
            own = {t: facts for t, facts in tests.items() if t.partition("::")[0] == name}
            files[name] = {"hash": hashes[name], "tests": own}
        path.write_text(json.dumps({"fleet": fleet, "files": files}))
        say(f"calls of tests: {number} of {len(batches)} batches")
    return CallMap(files)


def _traced(
    copies: Sequence[Copy], batches: Sequence[Sequence[str]]
) -> Iterator[tuple[Sequence[str], Mapping[str, Any]]]:
    """Yield each batch of files with the calls of its tests, as soon as they are known."""
    idle: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for copy in copies:
        idle.put(copy)

    def run(batch: Sequence[str]) -> tuple[Sequence[str], Mapping[str, Any]]:
        copy = idle.get()
        try:
            return batch, _calls_of(copy, batch)
        finally:
            idle.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for done in as_completed([pool.submit(run, batch) for batch in batches]):
            yield done.result()


def _calls_of(copy: Copy, batch: Sequence[str]) -> dict[str, Any]:
    output = copy.tree.parent / "calls.json"
    output.unlink(missing_ok=True)
    copy.run(batch, BATCH_LIMIT_S, calls=str(output))
    told = json.loads(output.read_text()) if output.exists() else {"names": [], "tests": {}}
    names = told["names"]
    return {
        test: {**facts, "calls": [names[number] for number in facts["calls"]]}
        for test, facts in told["tests"].items()
    }


class CallMap:
    """The calls of every test."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self.hashes = {name: str(facts["hash"]) for name, facts in files.items()}
        self._reaches = [
            Reach(test=test, seconds=facts["seconds"], calls=frozenset(facts["calls"]))
            for each in files.values()
            for test, facts in each["tests"].items()
        ]

    def only(self, tests: Collection[str]) -> None:
        """Forget the tests that are no longer there."""
        self._reaches = [reach for reach in self._reaches if reach.test in tests]

    def tests_for(self, mutant: Mutant) -> list[Reach]:
        """Return the tests that may notice a mutant.

        First come those named after its module, those that share words with its line, and quick
        ones.
        """
        places = _places(mutant)
        constants = _names(mutant) if mutant.at_import and not mutant.scope else set()
        near = [
            reach
            for reach in self._reaches
            if reach.seconds <= LONGEST_TEST_S
            and (reach.calls & places or any(n in _source_of(reach.test) for n in constants))
        ]
        if mutant.path.endswith(".sql"):
            near.sort(key=lambda reach: (_distance(reach.test, mutant), reach.seconds))
        else:
            own = Path(mutant.path).stem
            words = _words(mutant.before)
            near.sort(
                key=lambda reach: (
                    own not in _file(reach),
                    -len(words & _words(_source_of(reach.test))),
                    reach.seconds,
                )
            )
        chosen = list(_within(near))
        files = list(dict.fromkeys(map(_file, chosen)))
        return sorted(chosen, key=lambda reach: files.index(_file(reach)))


def _file(reach: Reach) -> str:
    return reach.test.partition("::")[0]


def _within(reaches: Iterable[Reach]) -> Iterator[Reach]:
    seconds, count = 0.0, 0
    for reach in reaches:
        seconds, count = seconds + reach.seconds, count + 1
        if seconds > MOST_SECONDS or count > MOST_TESTS:
            return
        yield reach


def _places(mutant: Mutant) -> frozenset[str]:
    """The functions whose tests are asked: of a constant, those that name it."""
    if mutant.path.endswith(".sql"):
        return frozenset({f"{mutant.path}::"})
    if mutant.scope.endswith("()"):
        return frozenset({f"{mutant.path}::{mutant.scope.removesuffix('()')}"})
    names = _names(mutant)
    return frozenset(
        place for place, words in _words_of_functions().items() if not words.isdisjoint(names)
    )


def _names(mutant: Mutant) -> set[str]:
    """What the changed line defines, what is made of that, and the class that it lies in."""
    tree = ast.parse((ROOT / mutant.path).read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            is_changed = node.lineno <= mutant.line <= (node.end_lineno or node.lineno)
            if is_changed or (node.value and names & _names_in([node.value])):
                names |= _names_in(targets)
    return names | {mutant.scope} - {""}


def _names_in(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}


@cache
def _words_of_functions() -> dict[str, frozenset[str]]:
    """The names that each function of fleet speaks of."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted((ROOT / "fleet").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for scope, node in _functions(ast.parse(path.read_text()), ""):
            words = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
            words |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
            found[f"{name}::{scope}"] = frozenset(words)
    return found


def _functions(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{scope}{child.name}.")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{scope}{child.name}", child


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]{4,}", text))


STEPS = 3


def _distance(test: str, mutant: Mutant) -> int:
    """How many columns lie between the changed SQL and one that the test names."""
    text = test + _source_of(test)
    columns = _columns_of(mutant)
    return next((step for step, names in enumerate(columns) if _any_in(names, text)), STEPS)


def _any_in(names: frozenset[str], text: str) -> bool:
    return any(re.search(rf"(?<![a-z]){name}(?![a-z])", text) for name in names)


@cache
def _columns_of(mutant: Mutant) -> tuple[frozenset[str], ...]:
    """The column that the changed expression makes, those made of it, and those made of these."""
    source = (ROOT / mutant.path).read_text()
    steps = [_column_behind(source, len(source.encode()[: mutant.end].decode())) or mutant.scope]
    found = [frozenset(steps)]
    for _ in range(STEPS - 1):
        words = re.compile(rf"\b({'|'.join(found[-1])})\b")
        made = {_column_behind(source, match.end()) for match in words.finditer(source)}
        found.append(frozenset(made - {""}))
    return tuple(found)


def _column_behind(source: str, at: int) -> str:
    named = re.compile(r"\bas (\w+)").search(source, at)
    return named[1] if named else ""


@cache
def _source_of(test: str) -> str:
    """The text of one test function."""
    path, _, rest = test.partition("::")
    name = rest.partition("[")[0].rpartition("::")[2]
    text = (ROOT / path).read_text()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    return ""


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        if "__pycache__" not in path.parts and path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()[:16]
