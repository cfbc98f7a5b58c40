"""The rooms that are broken, the mutants made of them, and the lists kept beside this module."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.mutants.copies import ROOT
from tests.mutants.mutant import Change, Mutant, made
from tests.mutants.python_operators import python_mutants
from tests.mutants.sql_operators import sql_mutants

HERE = Path(__file__).parent
NAMED, EQUIVALENT = HERE / "named.toml", HERE / "equivalent.toml"

ROOMS: Mapping[str, tuple[str, ...]] = {
    "stats": ("fleet/stats/**/*.py",),
    "plan": ("fleet/plan/**/*.py",),
    "runner": ("fleet/runner/**/*.py",),
    "store": ("fleet/store/**/*.py", "fleet/durable.py", "fleet/spool.py"),
    "measuring": ("fleet/app/**/measuring.py",),
    "settings": ("fleet/settings/**/*.py", "fleet/owner/**/*.py"),
    "worker": ("fleet/worker*.py", "fleet/worker/**/*.py"),
    "sql": ("fleet/query/**/*.sql",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    """A mutant that changes nothing that anybody can see, and why."""

    scope: str
    before: str
    after: str
    reason: str


def mutants_of(patterns: Sequence[str]) -> list[Mutant]:
    """Return every mutant of the files of one room."""
    paths = sorted({path for pattern in patterns for path in ROOT.glob(pattern)})
    return [mutant for path in paths for mutant in _mutants_in(path)]


def _mutants_in(path: Path) -> list[Mutant]:
    mutants = sql_mutants if path.suffix == ".sql" else python_mutants
    return list(mutants(str(path.relative_to(ROOT)), path.read_bytes()))


def sample(count: int, seed: int, named: Sequence[Mutant]) -> list[Mutant]:
    """Return so many mutants, the named ones first; every room gives the share that it has.

    A mutant's place in the order depends on its own text alone, so that a line that is added or a
    file that is moved changes little of what is chosen.
    """
    equivalent = {(each.scope, each.before, each.after) for each in equivalents()}
    rooms = [
        sorted(
            (m for m in mutants_of(patterns) if m.identity() not in equivalent),
            key=lambda mutant: mutant.rank(seed),
        )
        for patterns in ROOMS.values()
    ]
    total = sum(map(len, rooms))
    share = min(1.0, max(0, count - len(named)) / max(1, total))
    chosen = [mutant for room in rooms for mutant in room[: math.ceil(len(room) * share)]]
    known = {mutant.identity() for mutant in named}
    return [*named, *(mutant for mutant in chosen if mutant.identity() not in known)]


def named_mutants() -> list[Mutant]:
    """Return the mutants that are always made; each text must stand exactly once in fleet."""
    sources = {
        path: path.read_text()
        for pattern in ("*.py", "*.sql")
        for path in sorted((ROOT / "fleet").rglob(pattern))
    }
    return [_named(each, sources) for each in tomllib.loads(NAMED.read_text())["mutant"]]


def _named(told: Mapping[str, str], sources: Mapping[Path, str]) -> Mutant:
    name, before = told["name"], told["before"]
    places = [path for path, text in sources.items() for _ in range(text.count(before))]
    if len(places) != 1:
        raise LookupError(f"{name}: its text stands {len(places)} times in fleet, not once")
    path, source = str(places[0].relative_to(ROOT)), sources[places[0]].encode()
    start = source.index(before.encode())
    change = Change(
        operator="named", start=start, end=start + len(before.encode()), replacement=told["after"]
    )
    scope = _scope_around(places[0], start)
    return replace(made(path, scope, source, change), name=name)


def _scope_around(path: Path, start: int) -> str:
    """The scope of the nearest mutant that the operators make at or behind this place."""
    mutants = _mutants_in(path)
    behind = [mutant for mutant in mutants if mutant.start >= start]
    return (behind or mutants)[0 if behind else -1].scope


def equivalents() -> list[Equivalent]:
    """Return the list of those that no test can tell from the program."""
    return [Equivalent(**each) for each in tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])]
