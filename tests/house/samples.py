#!/usr/bin/env python3
"""Prints docstrings and messages taken at random, as they were at a commit and as they are now.

    python tests/house/samples.py --before a1b2c3d --seed 11 --count 10

A function is known again by its name, wherever it has moved; a message is the first argument of
an error that the function raises. Only what was changed can be drawn.
"""

from __future__ import annotations

import argparse
import ast
import random
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--before", required=True, help="a commit")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--count", type=int, default=10)
    given = parser.parse_args()
    before = [ast.parse(text) for text in at_commit(given.before)]
    now = [ast.parse(path.read_text()) for path in sorted((ROOT / "fleet").rglob("*.py"))]
    chance = random.Random(given.seed)
    for title, collect in (("docstrings", docstrings), ("messages", messages)):
        old, new = collect(before), collect(now)
        changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
        print(f"\n{given.count} of {len(changed)} changed {title}")
        for name in sorted(chance.sample(changed, min(given.count, len(changed)))):
            print(f"\n{name}\n  before: {old[name]}\n  now:    {new[name]}")


def at_commit(commit: str) -> Iterator[str]:
    """Yield the text of each module of the program at a commit."""
    listed = git("ls-tree", "-r", "--name-only", commit, "fleet")
    for path in listed.splitlines():
        if path.endswith(".py"):
            yield git("show", f"{commit}:{path}")


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def docstrings(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Return the docstring of each function whose name stands once in the program."""
    return once(
        (node.name, " ".join(text.split()))
        for node in functions(trees)
        if (text := ast.get_docstring(node))
    )


def messages(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Return the first message of each function that raises an error, by the function's name."""
    return once(
        (node.name, text) for node in functions(trees) if (text := next(raised(node), None))
    )


def functions(trees: Iterable[ast.Module]) -> Iterator[Function]:
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield node


def raised(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            first = node.exc.args[0]
            if isinstance(first, ast.JoinedStr | ast.Constant):
                yield ast.unparse(first).lstrip("f")


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Keep the names that stand once: of the others nobody knows which became which."""
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    return {name: several[0] for name, several in texts.items() if len(several) == 1}


if __name__ == "__main__":
    main()
