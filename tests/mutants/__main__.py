"""The command: `python -m tests.mutants`. It ends with 1 where too few mutants are killed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import coverage, running
from tests.mutants.copies import ROOT, Copy
from tests.mutants.running import Outcome
from tests.mutants.targets import equivalents, named_mutants, sample

GOAL = 0.90
KEPT = ROOT / ".mutants"
"""The calls of each test, and the outcomes of earlier runs; not part of the repository."""


def main() -> int:
    """Make the mutants, test them, and print what became of them."""
    options = _options()
    until_s = time.monotonic() + 60 * options.minutes
    mutants = sample(options.mutants, options.seed, named_mutants())
    if options.path:
        mutants = [mutant for mutant in mutants if options.path in mutant.path]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.path}:{mutant.line}: {mutant.before}  ->  {mutant.after}")
        return 0
    KEPT.mkdir(exist_ok=True)
    copies = [Copy() for _ in range(options.processes)]
    try:
        calls = coverage.collected(copies, KEPT / "calls.json", keep=options.keep_calls, say=_say)
        with ThreadPoolExecutor() as pool:
            names = list(pool.map(lambda copy: copy.load(sorted(calls.hashes)), copies))
        calls.only(set(names[0]))
        journal = running.Journal(KEPT / "outcomes.jsonl", calls)
        outcomes = running.tested(
            mutants, copies, calls, journal, until_s=until_s, say=lambda o: _say(_line(o))
        )
    finally:
        for copy in copies:
            copy.close()
    print(_json(outcomes, options) if options.json else "\n".join(_report(outcomes, len(mutants))))
    killed = sum(outcome.killed for outcome in outcomes)
    return 0 if outcomes and killed >= GOAL * len(outcomes) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=main.__doc__)
    parser.add_argument("--mutants", type=int, default=320, help="how many are made")
    parser.add_argument("--seed", type=int, default=1, help="which of all are made")
    parser.add_argument("--minutes", type=float, default=60.0, help="the time for all of them")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--path", default="", help="only those whose file's path contains this")
    parser.add_argument("--list", action="store_true", help="print them and test none")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--keep-calls",
        action="store_true",
        help="take what is known of the tests' calls, although fleet or tests were changed",
    )
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _line(outcome: Outcome) -> str:
    mutant = outcome.mutant
    name = f"{mutant.name}: " if mutant.name else ""
    end = f"killed by {outcome.killer}" if outcome.killed else f"SURVIVED {outcome.tests} tests"
    return f"{outcome.seconds:5.1f} s  {name}{mutant.path}:{mutant.line}  {end}"


def _report(outcomes: Sequence[Outcome], made: int) -> list[str]:
    survivors = [outcome for outcome in outcomes if not outcome.killed]
    lines = []
    for outcome in survivors:
        mutant = outcome.mutant
        name = f" ({mutant.name})" if mutant.name else ""
        lines += [f"{mutant.path}:{mutant.line}{name}, survived {outcome.tests} tests:"]
        lines += [f"    {mutant.before}", f" -> {mutant.after}"]
    rooms = Counter(_room(outcome) for outcome in outcomes)
    killed = Counter(_room(outcome) for outcome in outcomes if outcome.killed)
    lines += [f"{killed[room]:4} of {count:4} killed in {room}" for room, count in rooms.items()]
    whole = len(outcomes) - len(survivors)
    share = f" ({100 * whole / len(outcomes):.1f} %)" if outcomes else ""
    lines += [f"{whole} of {len(outcomes)} mutants killed{share}, the goal is {100 * GOAL:.0f} %"]
    lines += [f"{len(equivalents())} mutants change nothing: tests/mutants/equivalent.toml"]
    if len(outcomes) < made:
        lines += [f"the time was over: {made - len(outcomes)} of {made} were not tested"]
    return lines


def _room(outcome: Outcome) -> str:
    return str(Path(outcome.mutant.path).parent)


def _json(outcomes: Sequence[Outcome], options: argparse.Namespace) -> str:
    told = [
        {
            "name": outcome.mutant.name,
            "path": outcome.mutant.path,
            "line": outcome.mutant.line,
            "operator": outcome.mutant.operator,
            "before": outcome.mutant.before,
            "after": outcome.mutant.after,
            "killer": outcome.killer or None,
            "tests": outcome.tests,
        }
        for outcome in outcomes
    ]
    killed = sum(outcome.killed for outcome in outcomes)
    summary = {"seed": options.seed, "made": len(outcomes), "killed": killed}
    return json.dumps({**summary, "equivalent": len(equivalents()), "mutants": told}, indent=1)


if __name__ == "__main__":
    sys.exit(main())
