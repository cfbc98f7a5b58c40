"""How long a command takes before it does anything, and what it imports for that.

Times of `fleet --help` and of a bare Python are taken in turn, so that both see the same machine.
`fleet compare` reads a store of 10,000 trials: monthly packs, and 200 attempts in small files.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import _table
from _large_store import build_store
from _table import Table

FLEET = str(Path(sys.executable).with_name("fleet"))
NEVER = ("scipy", "pandas")
NOT_TO_READ = (*NEVER, "ray", "altair")
EVERY_MODULE = """
import importlib, pkgutil, sys, fleet
for module in pkgutil.walk_packages(fleet.__path__, "fleet."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sys.modules, sep="\\n")
"""


def fill(table: Table, quick: bool) -> None:
    rounds = 5 if quick else 11
    help_times(table, rounds)
    with tempfile.TemporaryDirectory(prefix="fleet-performance-") as folder:
        home, trials = Path(folder), 2_000 if quick else 10_000
        _table.note(f"building a store of {trials} trials ...")
        trial, small = build_store(home, trials)
        imports(table, reading_commands(trial), home)
        compare_times(table, home, rounds, f"{trials:,} trials, {small} of them in small files")


def help_times(table: Table, rounds: int) -> None:
    bare, helped = [], []
    for _ in range(rounds):
        bare.append(seconds([sys.executable, "-c", "pass"]))
        helped.append(seconds([FLEET, "--help"]))
    ratio = statistics.median(one / other for one, other in zip(helped, bare, strict=True))
    table.beside("`python -c pass`", statistics.median(bare), "s")
    table.at_most("`fleet --help`", 0.15, statistics.median(helped), "s")
    table.at_most("`fleet --help` over `python -c pass`", 15, ratio, "x")


def imports(table: Table, commands: Sequence[Sequence[str]], home: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], capture_output=True, text=True, check=True
    )
    heavy = heavy_among(told.stdout.split(), NEVER)
    table.holds("all modules of fleet together", "no scipy, pandas", shown(heavy), not heavy)
    for command in commands:
        heavy = heavy_among(imported_by(command, home), NOT_TO_READ)
        goal = "no scipy, pandas, ray, altair"
        table.holds(f"`fleet {command[0]}` imports", goal, shown(heavy), not heavy)


def reading_commands(trial: str) -> list[list[str]]:
    return [
        ["results"],
        ["show", trial],
        ["machines"],
        ["compare", "--by", "machine"],
        ["sql", "select count(*) from speeds"],
        ["status"],
    ]


def compare_times(table: Table, home: Path, rounds: int, of_what: str) -> None:
    argv = [FLEET, "compare", "--by", "machine", "--home", str(home)]
    times = [seconds(argv, codes=(0, 1)) for _ in range(rounds)]
    table.at_most(f"`fleet compare --by machine` on {of_what}", 0.6, statistics.median(times), "s")


def seconds(argv: Sequence[str], codes: Sequence[int] = (0,)) -> float:
    """Of the whole process. `compare` ends with 1 where a side is slower."""
    before = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    took = time.perf_counter() - before
    if done.returncode not in codes:
        raise RuntimeError(f"{argv}: exit code {done.returncode}: {done.stderr[-500:]}")
    return took


def imported_by(command: Sequence[str], home: Path) -> list[str]:
    """Names of all modules that one command imports."""
    argv = [sys.executable, "-X", "importtime", "-m", "fleet", *command]
    world = {**os.environ, "FLEET_HOME": str(home)}
    done = subprocess.run(argv, capture_output=True, text=True, env=world)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{argv}: exit code {done.returncode}: {done.stderr[-500:]}")
    return re.findall(r"^import time: .*\| +(\S+)$", done.stderr, re.M)


def heavy_among(modules: Sequence[str], unwanted: Sequence[str]) -> list[str]:
    found = {name.partition(".")[0] for name in modules}
    return sorted(found & set(unwanted))


def shown(heavy: Sequence[str]) -> str:
    return ", ".join(heavy) or "none"


if __name__ == "__main__":
    _table.run("Start-up and comparing", fill, __doc__)
