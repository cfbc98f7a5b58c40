"""Tests mutant after mutant on the copies, and keeps what became of each for the next run."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.copies import ROOT, Copy
from tests.mutants.coverage import CallMap, Reach
from tests.mutants.mutant import Mutant

LEAST_LIMIT_S = 20.0
LIMIT_FACTOR = 3
"""Of CPU time: a mutant may take so many times what its tests take without it; then it counts as
killed by the time limit."""
PASSED, COULD_NOT_RUN = 0, -1
"""Ends of a run: all tests have passed; it ended before it could say anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one mutant; `killer` is the test that noticed it, empty for a survivor."""

    mutant: Mutant
    killer: str
    seconds: float
    tests: int

    @property
    def killed(self) -> bool:
        return bool(self.killer)


class Journal:
    """The outcomes of earlier runs; one holds while its source and the tests behind it stay."""

    def __init__(self, path: Path, calls: CallMap) -> None:
        self._path = path
        self._hashes = calls.hashes
        self._lock = threading.Lock()
        lines = path.read_text().splitlines() if path.exists() else []
        self._known = {told["key"]: told for told in map(json.loads, lines)}

    def outcome(self, mutant: Mutant, tests: Sequence[Reach]) -> Outcome | None:
        """Return what is known of a mutant, or None where it is to be tested."""
        told = self._known.get(_key(mutant))
        if told is None or told["behind"] != self._behind(told["killer"], tests):
            return None
        facts = {name: told[name] for name in ("killer", "seconds", "tests")}
        return Outcome(mutant=mutant, **facts)

    def keep(self, outcome: Outcome, tests: Sequence[Reach]) -> None:
        """Add one outcome at once, so that a run that is cut off goes on where it ended."""
        told: dict[str, Any] = {
            "key": _key(outcome.mutant),
            "killer": outcome.killer,
            "seconds": round(outcome.seconds, 2),
            "tests": outcome.tests,
            "behind": self._behind(outcome.killer, tests),
        }
        with self._lock, self._path.open("a") as file:
            file.write(f"{json.dumps(told)}\n")

    def _behind(self, killer: str, tests: Sequence[Reach]) -> dict[str, str]:
        """The test files that an outcome rests on: of a survivor those of all its tests."""
        names = {killer.partition("::")[0]} if "::" in killer else {_file(t) for t in tests}
        return {name: self._hashes.get(name, "") for name in sorted(names)}


def tested(
    mutants: Sequence[Mutant],
    copies: Sequence[Copy],
    calls: CallMap,
    journal: Journal,
    *,
    until_s: float,
    say: Callable[[Outcome], None],
) -> list[Outcome]:
    """Return the outcome of each mutant that was tested before the time was over."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    outcomes: list[Outcome] = []

    def work(copy: Copy) -> None:
        while time.monotonic() < until_s:
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            tests = calls.tests_for(mutant)
            outcome = journal.outcome(mutant, tests)
            if outcome is None:
                outcome = _tested(mutant, copy, tests)
                journal.keep(outcome, tests)
            outcomes.append(outcome)
            say(outcome)

    threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    order = {id(mutant): number for number, mutant in enumerate(mutants)}
    return sorted(outcomes, key=lambda outcome: order[id(outcome.mutant)])


def _tested(mutant: Mutant, copy: Copy, tests: Sequence[Reach]) -> Outcome:
    if not tests:
        return Outcome(mutant=mutant, killer="", seconds=0.0, tests=0)
    names = [test.test for test in tests]
    limit_s = LEAST_LIMIT_S + LIMIT_FACTOR * sum(test.seconds for test in tests)
    with copy.changed(mutant):
        told = None if mutant.at_import else copy.run_loaded(names, limit_s, _change(mutant, copy))
        if told is None or (told["code"] == COULD_NOT_RUN and not told["timed_out"]):
            told = copy.run(["-x", *names], limit_s)
    killer = told["killer"] or _end(told)
    return Outcome(mutant=mutant, killer=killer, seconds=told["seconds"], tests=len(tests))


def _change(mutant: Mutant, copy: Copy) -> dict[str, str] | None:
    """What is to be changed in memory; SQL is read anew from its file."""
    if mutant.path.endswith(".sql"):
        return None
    path = copy.tree / mutant.path
    scope = mutant.scope.removesuffix("()")
    return {"path": str(path), "scope": scope, "source": path.read_text()}


def _end(told: dict[str, Any]) -> str:
    """The end of a run in which no test failed by itself; empty where all passed."""
    if told["timed_out"]:
        return "the time limit"
    return "" if told["code"] == PASSED else f"an import that fails (status {told['code']})"


def _key(mutant: Mutant) -> str:
    """The mutant in the file as it is now."""
    source = (ROOT / mutant.path).read_bytes()
    return mutant.rank(0) + f"-{_hash(source)}-{mutant.start}"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _file(reach: Reach) -> str:
    return reach.test.partition("::")[0]
