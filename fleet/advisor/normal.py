"""Is this machine normal? Its own measurements against expectation and against its like."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.advisor.amounts import Amount

NORMAL, ODD = 0.85, 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One rate of this machine beside what is expected of it."""

    what: str
    rate: float
    expected: Amount
    like_rates: tuple[float, ...] = ()
    """The same cell on machines with the same chip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """The answer: None where nothing was measured."""

    is_normal: bool | None
    ratio: float | None
    sentence: str


def is_normal(machine: str, measured: Sequence[Measured]) -> Normal:
    """Return the answer in one sentence."""
    usable = [m for m in measured if m.rate > 0 and m.expected.value > 0]
    if not usable:
        return Normal(is_normal=None, ratio=None, sentence=f"{machine}: nothing measured to judge")
    ratio = statistics.median(m.rate / m.expected.value for m in usable)
    outside = [m for m in usable if m.rate < m.expected.low]
    against = f"{_percent(ratio)} of what is expected over {_count(len(usable), 'result')}"
    like = [m.rate / statistics.median(m.like_rates) for m in usable if m.like_rates]
    beside = f", and {_percent(statistics.median(like))} of its like" if like else ""
    if ratio >= NORMAL and not outside:
        return _answer(machine, True, ratio, f"is normal: {against}{beside}")
    if like and statistics.median(like) >= NORMAL:
        return _answer(machine, True, ratio, f"is like its kind: {against}{beside}")
    if ratio < ODD or len(outside) * 2 > len(usable):
        lowest = min(usable, key=lambda m: m.rate / m.expected.value)
        share = lowest.rate / lowest.expected.value
        worst = f"; the lowest is {lowest.what} with {_percent(share)}" if len(usable) > 1 else ""
        return _answer(machine, False, ratio, f"is not normal: {against}{beside}{worst}")
    return _answer(machine, True, ratio, f"is within the usual spread: {against}{beside}")


def _answer(machine: str, verdict: bool, ratio: float, words: str) -> Normal:
    return Normal(is_normal=verdict, ratio=ratio, sentence=f"{machine} {words}")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
