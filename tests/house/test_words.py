"""Every word in the head of a table or in a note of the views is explained by `fleet metrics`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from fleet.metrics.words import HEADS, NOTES
from fleet.report import answers_text
from fleet.report import metrics_text as dictionary_text

PACKAGE = Path(__file__).resolve().parents[2] / "fleet"
NAMED_TITLES = re.compile(r"titles|[A-Z_]*TITLES|FACTS")


def heads() -> dict[str, str]:
    """Each head of a table, and the module that has it."""
    return {
        title: str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        for title in titles_in(ast.parse(path.read_text()))
    }


def titles_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "Column":
                yield from texts(next((k.value for k in node.keywords if k.arg == "title"), None))
            elif node.func.id == "aligned" and node.args:
                yield from texts(node.args[0])
        elif isinstance(node, ast.Assign) and is_named_titles(node.targets[0]):
            yield from texts(node.value)


def is_named_titles(target: ast.AST) -> bool:
    return isinstance(target, ast.Name) and bool(NAMED_TITLES.fullmatch(target.id))


def texts(node: ast.AST | None) -> Iterator[str]:
    for each in ast.walk(node) if node is not None else ():
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value


def test_every_head_of_a_table_is_explained() -> None:
    explained = {word.name for word in HEADS} | {"", "by "}
    found = heads()
    assert len(found) > 60
    assert {title: where for title, where in found.items() if title not in explained} == {}


def test_every_row_of_the_answers_is_explained() -> None:
    explained = {word.name for word in HEADS}
    assert set(answers_text.KINDS) <= explained


def test_every_note_of_the_views_is_explained() -> None:
    sql = (PACKAGE / "query" / "views.sql").read_text()
    cases = re.findall(r"case\b(?:(?!\bcase\b).)*?end as \w+_note", sql, re.S)
    notes = {note for case in cases for note in re.findall(r"(?:then|else) '([^']+)'", case)}
    assert len(notes) >= 6
    assert notes <= {word.name for word in NOTES}


def test_no_word_is_explained_twice_and_all_are_printed() -> None:
    names = [word.name for word in HEADS]
    assert len(names) == len(set(names))
    printed = "\n".join(dictionary_text.lines())
    assert all(word.meaning in printed for word in (*HEADS, *NOTES))
