"""Runs pytest again and again without importing the libraries again: one forked process a run.

It reads one JSON object a line, and answers each with one. No module of fleet is imported before
the fork, so each run sees the tree as it is at that moment.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.calls import Calls
from tests.mutants.children import OPTIONS, FirstFailure, in_a_child, register_profile

LIBRARIES = "duckdb httpx hypothesis.strategies pyarrow.parquet pydantic rich.console ruamel.yaml"


def main() -> None:
    """Answer requests until the input ends."""
    tree = Path.cwd()
    for library in LIBRARIES.split():
        importlib.import_module(library)
    register_profile()
    assert not any(name.split(".")[0] == "fleet" for name in sys.modules)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_answer(tree, request)), flush=True)


def _answer(tree: Path, request: dict[str, Any]) -> dict[str, object]:
    return in_a_child(request["limit_s"], lambda outcome: _run_tests(tree, request, outcome))


def _run_tests(tree: Path, request: dict[str, Any], outcome: Path) -> None:
    first = FirstFailure()
    plugins: list[object] = [first]
    if "calls" in request:
        plugins.append(Calls(tree, Path(request["calls"])))
    code = int(pytest.main([*OPTIONS, *request["arguments"]], plugins=plugins))
    outcome.write_text(json.dumps({"code": code, "killer": first.nodeid}))


if __name__ == "__main__":
    main()
