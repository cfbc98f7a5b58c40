"""Checks kept answers each time they are read: the raw text is what is stored."""

from __future__ import annotations

import json
import math
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fleet.answers.nouns import Reference, Score
from fleet.model.checks import Check, compiled

MOST_CHARACTERS = 200_000
"""Of an answer that are searched for a pattern."""
MOST_SECONDS = 1.0
"""That one pattern may take: some patterns need a time that doubles with every character."""

_WORD = re.compile(r"\w+")
_FENCED = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL | re.IGNORECASE)


def score(check: Check, answer: str, references: Sequence[Reference]) -> Score:
    """Check one answer. `references`: the answers that it may be similar to."""
    kind, value = check.given()
    if kind == "exact":
        return Score(check=check.says(), passed=answer.strip() == str(value).strip())
    if kind == "contains":
        return Score(check=check.says(), passed=str(value).casefold() in answer.casefold())
    if kind == "regex":
        return _found(check, str(value), answer)
    if kind == "json":
        return _is_json(check, answer)
    return _is_similar(check, float(value), answer, references)


def similarity(left: str, right: str) -> float:
    """Cosine of the word counts, 0 to 1: sum(a*b) / sqrt(sum(a*a) * sum(b*b)) over all words.

    Salton and McGill, Introduction to Modern Information Retrieval (1983). Words in lower case;
    their order does not count. Of a text without words 0.
    """
    counts, others = (Counter(_WORD.findall(text.lower())) for text in (left, right))
    shared = sum(count * others[word] for word, count in counts.items())
    length = math.sqrt(
        sum(n * n for n in counts.values()) * sum(n * n for n in others.values()),
    )
    return min(shared / length, 1.0) if length else 0.0


def _found(check: Check, pattern: str, answer: str) -> Score:
    try:
        with _at_most(MOST_SECONDS):
            matches = compiled(pattern).search(answer[:MOST_CHARACTERS]) is not None
    except _TooSlow:
        note = f"undecided: the pattern took more than {MOST_SECONDS:g} s"
        return Score(check=check.says(), note=note)
    cut = len(answer) > MOST_CHARACTERS and not matches
    note = f"searched in the first {MOST_CHARACTERS} characters" if cut else ""
    return Score(check=check.says(), passed=matches, note=note)


def _is_json(check: Check, answer: str) -> Score:
    fenced = _FENCED.fullmatch(answer.strip())
    note = "only inside a code fence" if fenced and _parses(fenced[1]) else ""
    return Score(check=check.says(), passed=_parses(answer), note=note)


def _parses(text: str) -> bool:
    """RFC 8259: NaN and Infinity are no JSON. Numbers stay text, so none is too long."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_similar(check: Check, least: float, answer: str, references: Sequence[Reference]) -> Score:
    if not references:
        return Score(check=check.says(), note="no reference")
    value, name = max((similarity(answer, each.text), each.name) for each in references)
    note = f"to {name}" if len(references) > 1 else ""
    return Score(check=check.says(), passed=value >= least, value=value, note=note)


class _TooSlow(Exception):
    pass


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End the block after some seconds by an alarm: `re` looks for signals while it matches.

    Only the main thread has signals; in others the bound on the text must do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _too_slow(_number: int, _frame: object) -> None:
    raise _TooSlow
