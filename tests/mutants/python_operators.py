"""The changes that are tried on Python source: one node of the syntax tree at a time.

Text for people, annotations and decorators stay as they are.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from tests.mutants.mutant import Change, Mutant, made
from tests.mutants.numbers import other_numbers

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
}
TEXT_OR_LIST = (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp)
CONDITIONS = (ast.If, ast.While, ast.IfExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python_mutants(path: str, source: bytes) -> Iterator[Mutant]:
    """Yield every mutant of one module, in the order of the source."""
    text = _Source(source)
    for scope, node, at_import in _nodes(ast.parse(source), "", at_import=True):
        for change in _changes(node, text):
            yield made(path, scope, source, change, at_import=at_import)


class _Source:
    """The bytes of a module, and the place of each node in them."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._lines = [0, *(match.end() for match in re.finditer(b"\n", source))]

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    def text(self, node: ast.expr | ast.stmt) -> str:
        return self.source[self.start(node) : self.end(node)].decode()

    def swap(
        self, between: tuple[ast.expr, ast.expr], words: tuple[str, str], operator: str
    ) -> Iterator[Change]:
        """Yield the change of the operator that stands between two operands."""
        start, end = self.end(between[0]), self.start(between[1])
        pattern = r"\s+".join(map(re.escape, words[0].split()))
        match = re.search(pattern.encode(), self.source[start:end])
        if match:
            first, last = start + match.start(), start + match.end()
            yield Change(operator=operator, start=first, end=last, replacement=words[1])

    def replace(self, node: ast.expr | ast.stmt, replacement: str, operator: str) -> Change:
        return Change(
            operator=operator,
            start=self.start(node),
            end=self.end(node),
            replacement=replacement,
        )


def _nodes(node: ast.AST, scope: str, *, at_import: bool) -> Iterator[tuple[str, ast.AST, bool]]:
    """Yield each node that may be changed, with the qualified name of the function around it.

    The values of parameters that are not given are computed when the module is imported.
    """
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "format_spec", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            inner = _inner(scope, child)
            early = at_import and not (isinstance(node, FUNCTIONS) and name == "body")
            yield inner, child, early
            yield from _nodes(child, inner, at_import=early)


def _inner(scope: str, child: ast.AST) -> str:
    """A function inside a function counts as the outer one."""
    if not isinstance(child, SCOPES) or (scope and scope[-1] == ")"):
        return scope
    prefix = f"{scope}." if scope else ""
    return f"{prefix}{child.name}" + ("" if isinstance(child, ast.ClassDef) else "()")


def _changes(node: ast.AST, text: _Source) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        yield from _compared(node, text)
    elif isinstance(node, ast.BoolOp):
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for pair in itertools.pairwise(node.values):
            yield from text.swap(pair, words, "and-or")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield text.replace(node, f"bool({text.text(node.operand)})", "not")
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        if not (_is_text(node.left) or _is_text(node.right)):
            yield from text.swap((node.left, node.right), ARITHMETIC[type(node.op)], "arithmetic")
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        for number in other_numbers(text.text(node)):
            yield text.replace(node, number, "number")
    elif isinstance(node, ast.stmt):
        yield from _statements(node, text)
    if isinstance(node, CONDITIONS):
        yield from _negated(node.test, text)


def _compared(node: ast.Compare, text: _Source) -> Iterator[Change]:
    operands = [node.left, *node.comparators]
    for pair, op in zip(itertools.pairwise(operands), node.ops, strict=True):
        word, others = COMPARISONS[type(op)]
        for other in others:
            yield from text.swap(pair, (word, other), "comparison")


def _negated(test: ast.expr, text: _Source) -> Iterator[Change]:
    """A condition of another form than a comparison is turned into its opposite."""
    if isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
        yield text.replace(test, f"(not {text.text(test)})", "not")


def _statements(node: ast.stmt, text: _Source) -> Iterator[Change]:
    if isinstance(node, ast.Return) and node.value is not None:
        yield from _returned(node.value, text)
    elif isinstance(node, (ast.AugAssign, ast.Raise)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Yield))
    ):
        yield text.replace(node, "pass", "dropped statement")


def _returned(value: ast.expr, text: _Source) -> Iterator[Change]:
    """An empty value stays, since None is as false as it is; True and False change places."""
    if isinstance(value, ast.Constant) and isinstance(value.value, bool):
        yield text.replace(value, str(not value.value), "return value")
    elif not (isinstance(value, ast.Constant) and not value.value) and not _is_empty(value):
        yield text.replace(value, "None", "return value")


def _is_empty(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return not value.keys
    return isinstance(value, (ast.Tuple, ast.List)) and not value.elts


def _is_text(operand: ast.expr) -> bool:
    is_string = isinstance(operand, ast.Constant) and isinstance(operand.value, str)
    return is_string or isinstance(operand, TEXT_OR_LIST)
