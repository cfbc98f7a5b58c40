"""Asking this machine, and facts out of the answers; an unknown fact says in its source why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fleet.model.machine import Fact, FactValue
from fleet.model.plain_text import one_line
from fleet.model.quantities import fact_problem
from fleet.ports import Commands, Output
from fleet.readers.bounds import Record

Some = TypeVar("Some")

DEADLINE_S = 5.0
"""Of one command, where nothing else is said. They answer in some ten milliseconds; one that is
late on a machine under pressure must not make another machine of it."""
NOT_TOLD = "not told"


MOST_WORDS, MOST_REASON = 2000, 240
"""Characters of a fact that is words, and of the reason why there is none."""


def facts(
    source: str,
    values: Mapping[str, FactValue],
    why: str = "",
    *,
    absent: str = "",
    outside: Mapping[str, str] = {},
) -> list[Fact]:
    """One fact per value, all with the same source; None stays, with the reason beside it.

    `why`: they could not be read, or not be understood. `absent`: else the machine has no such
    thing, and this is how that is known. `outside`, by fact: what was read cannot be. A number
    that cannot be, by the table of quantities, becomes None here.
    """
    return [_fact(source, name, values[name], outside.get(name) or why, absent) for name in values]


def _fact(source: str, name: str, value: FactValue, why: str, absent: str) -> Fact:
    if value is not None:
        problem = fact_problem(name, value)
        if not problem:
            kept = one_line(value, MOST_WORDS) if isinstance(value, str) else value
            return Fact(name=name, value=kept, source=source)
        why = problem
    is_absent = not why and absent != ""
    reason = one_line(why or absent or NOT_TOLD, MOST_REASON)
    return Fact(name=name, value=None, source=f"{source}: {reason}", absent=is_absent)


def not_understood(text: str | None) -> str:
    """Return the reason where something was printed that makes no sense.

    Empty where nothing was.
    """
    plain = one_line(text or "", 60)
    return f'not understood: "{plain}"' if plain else ""


def outside_of(records: Iterable[Record], fields: Mapping[str, str]) -> dict[str, str]:
    """By fact, why its field in one of the records is None although something was printed."""
    known = [record.outside for record in records if record.outside]
    return {
        name: reasons[field]
        for reasons in reversed(known)
        for name, field in fields.items()
        if field in reasons
    }


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
    answers = together(asks, deadline_s + 1.0)
    return {name: answers.get(name) or Answer("", late(deadline_s), False) for name in questions}


def together(asks: Mapping[str, Callable[[], Some]], deadline_s: float) -> dict[str, Some]:
    """Run the calls side by side, and return the result of each that ends by the deadline.

    Each has a thread of its own: a pool would wait at the program's end for the one that hangs.
    """
    results: dict[str, Some] = {}
    errors: list[BaseException] = []

    def run(name: str, call: Callable[[], Some]) -> None:
        try:
            results[name] = call()
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
    return dict(results)


def late(deadline_s: float) -> str:
    return f"no answer within {deadline_s:g} s"


def _why(program: str, output: Output, deadline_s: float) -> str:
    if output.ok:
        return ""
    if output.code is None:
        return late(deadline_s) if output.late else f"{program} is not installed"
    first = one_line(next(iter(output.stderr.strip().splitlines()), ""))
    return f"{program} failed: {first}" if first else f"{program} ended with {output.code}"
