#!/usr/bin/env python3
"""Prints the figures of the house: sizes, parameters, circles, late imports, statements.

    python tests/house/figures.py          exits with 1 where a goal is missed

A statement is an `ast.stmt`; docstrings are not counted. A function's own lines are those of its
body without its docstring; its whole length has its signature and its docstring as well. A circle
is two or more modules of one folder that import each other, directly or through siblings. A late
import stands inside a function; `cli`, `app` and `wiring` may have them for heavy libraries, the
others not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "fleet"

MOST_LINES = 300
MOST_FUNCTION_LINES = 40
MOST_PARAMETERS = 5
MOST_MEDIAN_LINES = 5
MAY_IMPORT_LATE = ("fleet.cli", "fleet.app", "fleet.wiring", "fleet.__main__")
REASON = "# parameters:"
"""A comment that begins so, on the line of the `def` or above it, gives the reason for more."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    @property
    def functions(self) -> list[Function]:
        return [n for n in ast.walk(self.tree) if isinstance(n, Function)]

    @property
    def statements(self) -> int:
        nodes = list(ast.walk(self.tree))
        docstrings = sum(
            isinstance(n, ast.Expr)
            and isinstance(n.value, ast.Constant)
            and isinstance(n.value.value, str)
            for n in nodes
        )
        return sum(isinstance(n, ast.stmt) for n in nodes) - docstrings

    def place(self, node: ast.stmt) -> str:
        return f"{self.path.relative_to(ROOT)}:{node.lineno}"


def modules(folder: Path = ROOT / PACKAGE) -> list[Module]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, text, ast.parse(text)))
    return found


def length(function: Function) -> int:
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    return (function.end_lineno or first) - first + 1


def own_lines(function: Function) -> int:
    """Lines of the body, without a docstring."""
    documented = ast.get_docstring(function, clean=False) is not None
    body = function.body[documented:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([a for a in named if a.arg not in ("self", "cls")])


def late_imports(module: Module) -> Iterator[ast.stmt]:
    for function in module.functions:
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node


def imports(module: Module, names: set[str]) -> set[str]:
    """Modules of the package that are imported at the top, type checking left out."""
    reached = set()
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                reached.add(whole if whole in names else node.module)
        elif isinstance(node, ast.Import):
            reached |= {alias.name for alias in node.names}
    return (reached & names) - {module.name}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of two or more (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    out: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = [stack.pop()]
            while part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                out.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return out


Figure = tuple[str, float, float | None, list[str]]
"""What is counted, its value, its goal if there is one, and the places that miss it."""


def figures() -> list[Figure]:
    every = modules()
    names = {m.name for m in every}
    functions = [(m, f) for m in every for f in m.functions]
    lengths = [length(f) for _, f in functions]
    own = [own_lines(f) for _, f in functions]
    long_modules = [f"{m.path.relative_to(ROOT)}: {m.lines}" for m in every if m.lines > MOST_LINES]
    long_functions = [
        f"{m.place(f)}: {f.name} {length(f)}"
        for m, f in functions
        if length(f) > MOST_FUNCTION_LINES
    ]
    wide = []
    for m, f in functions:
        lines = m.text.splitlines()
        near = lines[max(0, f.lineno - 2) : f.lineno + 1]
        if parameters(f) > MOST_PARAMETERS and not any(REASON in line for line in near):
            wide.append(f"{m.place(f)}: {f.name} {parameters(f)}")
    rings = circles({m.name: imports(m, names) for m in every})
    late = [
        f"{m.place(n)}"
        for m in every
        if not m.name.startswith(MAY_IMPORT_LATE)
        for n in late_imports(m)
    ]
    return [
        ("modules", len(every), None, []),
        (f"modules over {MOST_LINES} lines", len(long_modules), 0, long_modules),
        ("functions", len(functions), None, []),
        ("median function, its own lines", median(own), MOST_MEDIAN_LINES, []),
        ("median function, with signature and docstring", median(lengths), None, []),
        ("90th percentile of that", quantiles(lengths, n=10)[-1], None, []),
        (f"functions over {MOST_FUNCTION_LINES} lines", len(long_functions), 0, long_functions),
        (f"functions over {MOST_PARAMETERS} parameters without a reason", len(wide), 0, wide),
        ("circles of modules", len(rings), 0, [" ".join(r) for r in rings]),
        ("late imports outside cli, app and wiring", len(late), 0, late),
        ("statements, docstrings not counted", sum(m.statements for m in every), None, []),
    ]


def main() -> int:
    missed = False
    for what, value, goal, places in figures():
        bad = goal is not None and value > goal
        missed |= bad
        print(f"{what:55} {value:>8g}" + (f"   goal {goal}" if goal is not None else ""))
        for place in places:
            print(f"    {place}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
