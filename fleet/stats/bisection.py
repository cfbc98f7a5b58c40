"""Finds, among versions in a row, the one from which on a number is another. Pure.

Each step measures three versions in the same blocks: both ends of what is left, and the one
between them. Whatever drifts from block to block then moves all three alike. The middle one is
held against the geometric mean of the ends: it belongs to the end on whose side it lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.stats.ratios import Estimate, paired

MOST_WRONG = 0.05
"""The share of searches that may end at a wrong pair, over all that a search judges."""
LOOKS = 3
"""How often a step may be judged; each look but the first has twice the blocks."""
LEAST = 0.02
"""A smaller difference between the first version and the last is no step to look for."""

Values = Mapping[str, Sequence[float]]
"""By version, one number above 0 per block, in the order of the blocks."""
Side = Literal["first", "last"]
Ending = Literal["step", "no step", "not resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be measured next: two or three versions in the same blocks."""

    versions: tuple[str, ...]
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one look at a step showed."""

    step: Step
    ends: Estimate
    """Its last version against its first."""
    halves: tuple[Estimate, ...] = ()
    """The middle version against the first, the last against the middle; empty: no middle."""
    like: Side | None = None
    """The end that the middle version is like; None: not resolved, or there is no middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """Where the step lies. With `not resolved` it lies somewhere between `after` and `at`."""

    ending: Ending
    after: str
    at: str
    ends: Estimate
    """Of `at` against `after`, measured in the same blocks."""
    whole: Estimate
    """Of the last version against the first."""
    others: bool
    """There are other steps: this one is not what lies between the first version and the last."""


class Bisection:
    """One search: `step` says what to measure, `take` judges it, until there is a conclusion."""

    def __init__(self, versions: Sequence[str], *, blocks: int, least: float = LEAST) -> None:
        """`versions`: two or more, each once, in their order; `blocks`: of a first look, 2 up."""
        self._versions = tuple(versions)
        self._blocks, self._least = blocks, least
        self._first, self._last = 0, len(self._versions) - 1
        self._looks, self._judged = 0, list[Judgement]()
        self._differ = False
        """That the first version and the last differ is known."""
        self.step: Step | None = self._next()
        self.conclusion: Conclusion | None = None

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Every look so far."""
        return tuple(self._judged)

    @property
    def significance(self) -> float:
        """The level of a single look: MOST_WRONG over all that the search may take."""
        steps = 1 + math.ceil(math.log2(len(self._versions) - 1))
        return MOST_WRONG / (steps * LOOKS)

    def take(self, values: Values) -> Judgement:
        """Judge what was measured for `step`, and go on.

        Raises ValueError for other values, and for fewer than two blocks.
        """
        if self.step is None or set(values) != set(self.step.versions):
            raise ValueError("these are not the values of the next step")
        judgement = self._judge(self.step, values)
        self._judged.append(judgement)
        self._looks += 1
        self.conclusion = self._concluded(judgement)
        self.step = None if self.conclusion else self._next()
        return judgement

    def _judge(self, step: Step, values: Values) -> Judgement:
        sides = [values[version] for version in step.versions]
        ends = _paired(sides[0], sides[-1])
        if len(sides) == 2:
            return Judgement(step=step, ends=ends)
        first, middle, last = sides
        halves = (_paired(first, middle), _paired(middle, last))
        position = _paired([math.sqrt(a * b) for a, b in zip(first, last, strict=True)], middle)
        sure = position.p <= self.significance or all(map(self._differs, halves))
        return Judgement(
            step=step, ends=ends, halves=halves, like=_nearer(halves) if sure else None
        )

    def _concluded(self, judgement: Judgement) -> Conclusion | None:
        """Return the conclusion if there is one, or narrow down what is left."""
        pair = len(judgement.step.versions) == 2
        resolved = judgement.like is not None
        if pair:
            if judgement.ends.within(self._least):
                return self._conclude("no step", judgement)
            resolved = self._differ = self._differs(judgement.ends)
        if not resolved:
            return self._conclude("not resolved", judgement) if self._looks == LOOKS else None
        self._looks = 0
        if not pair:
            self._narrow(judgement)
        return self._conclude("step", judgement) if self._last - self._first == 1 else None

    def _differs(self, ends: Estimate) -> bool:
        return ends.p <= self.significance and not ends.within(self._least)

    def _narrow(self, judgement: Judgement) -> None:
        middle = self._versions.index(judgement.step.versions[1])
        if judgement.like == "first":
            self._first = middle
        else:
            self._last = middle

    def _conclude(self, ending: Ending, judgement: Judgement) -> Conclusion:
        whole, ends = self._judged[0].ends, judgement.ends
        if judgement.like is not None:  # the half in which the step lies
            ends = judgement.halves[judgement.like == "first"]
        others = ending != "no step" and (self._is_between() or self._apart(ends, whole))
        if ending == "step" and not self._differs(ends):
            ending = "not resolved"
        return Conclusion(
            ending=ending,
            after=self._versions[self._first],
            at=self._versions[self._last],
            ends=ends,
            whole=whole,
            others=others,
        )

    def _apart(self, ends: Estimate, whole: Estimate) -> bool:
        """Return whether a step is surely another than the whole difference."""
        distance = abs(math.log(ends.ratio) - math.log(whole.ratio))
        return distance > 3 * math.hypot(ends.error, whole.error) + math.log1p(self._least)

    def _is_between(self) -> bool:
        """Return whether a middle version differed from both ends: one step cannot do that."""
        return any(each.halves and all(map(self._differs, each.halves)) for each in self._judged)

    def _next(self) -> Step:
        blocks = self._blocks * 2**self._looks
        first, last = self._versions[self._first], self._versions[self._last]
        if not self._differ:
            return Step(versions=(first, last), blocks=blocks)
        middle = self._versions[(self._first + self._last) // 2]
        return Step(versions=(first, middle, last), blocks=blocks)


def _nearer(halves: tuple[Estimate, Estimate]) -> Side:
    """Return the end that the middle version is nearer to."""
    up, down = (abs(math.log(half.ratio)) for half in halves)
    return "first" if up <= down else "last"


def _paired(a: Sequence[float], b: Sequence[float]) -> Estimate:
    estimate = paired(a, b)
    if estimate is None:
        raise ValueError("a step needs two blocks or more")
    return estimate
