"""Asking this machine, and facts out of the answers; an unknown fact says in its source why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fleet.model.machine import Fact, FactValue
from fleet.ports import Commands, Output

Some = TypeVar("Some")

DEADLINE_S = 5.0
"""Of one command, where nothing else is said. They answer in some ten milliseconds; one that is
late on a machine under pressure must not make another machine of it."""
NOT_TOLD = "not told"


def facts(source: str, values: Mapping[str, FactValue], why: str = "") -> list[Fact]:
    """One fact per value, all with the same source; None stays, with the reason beside it."""
    unknown = f"{source}: {why or NOT_TOLD}"
    return [
        Fact(name=name, value=value, source=unknown if value is None else source)
        for name, value in values.items()
    ]


@dataclass(frozen=True, slots=True)
class Answer:
    """Standard output, also of a failed run: sysctl prints all keys but the unknown one."""

    text: str
    why: str
    """Why there is nothing to read; empty where the command went well."""
    ok: bool


def ask(commands: Commands, *argv: str, deadline_s: float = DEADLINE_S) -> Answer:
    output = commands.run(argv, deadline_s=deadline_s)
    return Answer(output.stdout, _why(argv[0], output, deadline_s), output.ok)


def ask_all(
    commands: Commands, questions: Mapping[str, Sequence[str]], deadline_s: float = DEADLINE_S
) -> dict[str, Answer]:
    """All at once: the slowest of them is what it takes."""
    asks = {
        name: partial(ask, commands, *argv, deadline_s=deadline_s)
        for name, argv in questions.items()
    }
    found = together(asks, deadline_s + 1.0)
    return {name: found.get(name) or Answer("", late(deadline_s), False) for name in questions}


def together(asks: Mapping[str, Callable[[], Some]], deadline_s: float) -> dict[str, Some]:
    """What each gave; one that has not ended by the deadline is left behind, and absent.

    Threads of their own, not of a pool: a pool waits at the program's end for the one that hangs.
    """
    found: dict[str, Some] = {}
    errors: list[BaseException] = []

    def run(name: str, call: Callable[[], Some]) -> None:
        try:
            found[name] = call()
        except BaseException as problem:  # noqa: BLE001 (raised by the caller, below)
            errors.append(problem)

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in asks.items()]
    until = time.monotonic() + deadline_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=max(0.0, until - time.monotonic()))
    if errors:
        raise errors[0]
    return dict(found)


def late(deadline_s: float) -> str:
    return f"no answer within {deadline_s:g} s"


def _why(program: str, output: Output, deadline_s: float) -> str:
    if output.ok:
        return ""
    if output.code is None:
        return late(deadline_s) if output.late else f"{program} is not installed"
    first = next(iter(output.stderr.strip().splitlines()), "")[:120]
    return f"{program} failed: {first}" if first else f"{program} ended with {output.code}"
