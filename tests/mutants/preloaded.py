"""Collects all tests once, and runs some of them again and again, each time in a forked process.

The code of one function is changed in memory after the fork, so that nothing is imported anew. The
arguments are the files of tests.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from tests.mutants.children import OPTIONS, FirstFailure, in_a_child, register_profile

NOT_RUN = {"code": -1, "killer": "", "timed_out": False, "seconds": 0.0}


class Serving:
    """Takes the place of the loop over the tests."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._called: set[CodeType] = set()
        """Functions that are called while modules are imported: what they give stays."""

    def note(self, frame: FrameType, _event: str, _argument: object) -> None:
        """Remember a function that is called."""
        self._called.add(frame.f_code)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer requests until the input ends."""
        sys.settrace(None)
        early = {(code.co_filename, code.co_qualname) for code in self._called}
        items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()
        for line in sys.stdin:
            answer = self._answer(items, json.loads(line), early)
            os.write(self._answers, f"{json.dumps(answer)}\n".encode())
        return True

    def _answer(
        self,
        items: Mapping[str, pytest.Item],
        request: Mapping[str, Any],
        early: Collection[tuple[str, str]],
    ) -> Mapping[str, object]:
        if "list" in request:
            return {"names": list(items)}
        change = request["change"]
        if change is not None and (change["path"], change["scope"]) in early:
            return NOT_RUN
        chosen = [items[test] for test in request["tests"] if test in items]

        def run(outcome: Path) -> None:
            if change is not None:
                change_code(**change)
            killer = _first_failure(chosen)
            outcome.write_text(json.dumps({"code": int(bool(killer)), "killer": killer}))

        return in_a_child(request["limit_s"], run)


def _first_failure(items: Sequence[pytest.Item]) -> str:
    first = FirstFailure()
    for number, item in enumerate(items):
        plugins = item.config.pluginmanager
        if not number:
            plugins.register(first)
        following = items[number + 1] if number + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if first.nodeid:
            break
    return first.nodeid


def change_code(path: str, scope: str, source: str) -> None:
    """Give every function of this qualified name the code that the changed source has for it."""
    codes = {
        (code.co_qualname, code.co_firstlineno): code
        for code in _codes(compile(source, path, "exec", dont_inherit=True))
    }
    gc.unfreeze()
    functions = [
        each
        for each in gc.get_objects()
        if type(each) is FunctionType
        and each.__code__.co_filename == path
        and each.__code__.co_qualname == scope
    ]
    if not functions:
        raise LookupError(f"{path}: no function {scope} is imported")
    for function in functions:
        code = function.__code__
        function.__code__ = codes[code.co_qualname, code.co_firstlineno]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def main() -> None:
    """Keep the output for answers; whatever tests print goes to a file."""
    answers = os.dup(1)
    log = os.open(Path(os.environ["TMPDIR"]) / "collected", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    register_profile()
    serving = Serving(answers)
    sys.settrace(serving.note)
    pytest.main([*OPTIONS, "-s", *sys.argv[1:]], plugins=[serving])


if __name__ == "__main__":
    main()
