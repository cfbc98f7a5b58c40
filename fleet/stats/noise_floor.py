"""Computes how far a machine is from itself: the noise floor of an A/A run. Pure.

The unit is the trial. All figures are of natural logarithms, so they are shares: 0.015 is 1.5 %.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fleet.stats.distributions import chi2_quantile
from fleet.stats.ratios import CONFIDENCE, Estimate, holm, paired, t_quantile, welch

Key = TypeVar("Key", bound=tuple[str, ...])

LEAST_BLOCKS = 5
LEAST_TRIALS = 2 * LEAST_BLOCKS
"""From fewer the interval of a standard deviation is wider than a factor of two."""

ALARM = 0.05
"""Of all intervals of one run together, by Holm's procedure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """One metric of one machine."""

    sd_log: float
    """Run-to-run standard deviation of the log of trial medians."""
    low: float
    high: float
    """Its 95 % interval, from the chi-square distribution."""
    n: int
    """Trials, both sides together."""
    ratio: float
    """Side b to side a, paired by block: nothing differs, so it should be 1."""
    ratio_low: float
    ratio_high: float
    p: float
    why: str = ""
    """What may lie behind a ratio off 1, as far as the trials themselves show it."""
    settings: str = ""
    """Of the cell that was measured twice, where a whole run is asked."""

    def could_see(self, repeats: int) -> float:
        """Return the smallest difference seen in 80 % of comparisons of so many trials a side."""
        df = 2 * repeats - 2
        reach = t_quantile((1 + CONFIDENCE) / 2, df) + t_quantile(0.8, df)
        return math.expm1(reach * self.sd_log * math.sqrt(2 / repeats))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTrial:
    block: int
    position: int
    side: str
    value: float
    """Tokens per second."""
    submission: str = ""


def noise_floor(trials: Sequence[NoiseTrial]) -> NoiseFloor | None:
    pairs = list(_pairs(trials))
    n = len(trials)
    estimate = paired([a.value for a, _ in pairs], [b.value for _, b in pairs])
    if estimate is None or n < LEAST_TRIALS:
        return None
    logs = [math.log(trial.value) for trial in trials]
    mean = math.fsum(logs) / n
    square = math.fsum((value - mean) ** 2 for value in logs)
    tail = (1 - CONFIDENCE) / 2
    return NoiseFloor(
        sd_log=math.sqrt(square / (n - 1)),
        low=math.sqrt(square / chi2_quantile(1 - tail, n - 1)),
        high=math.sqrt(square / chi2_quantile(tail, n - 1)),
        n=n,
        ratio=estimate.ratio,
        ratio_low=estimate.low,
        ratio_high=estimate.high,
        p=estimate.p,
        why=_why(trials, pairs),
    )


def untrusted(floors: Mapping[Key, NoiseFloor]) -> set[Key]:
    """Return those whose two sides differ although nothing does.

    Of many 95 % intervals some miss 1 by chance alone, so the alarm is held at 5 % for all of
    them together (Holm 1979).
    """
    adjusted = holm([floor.p for floor in floors.values()])
    return {key for key, p in zip(floors, adjusted, strict=True) if p < ALARM}


def _pairs(trials: Iterable[NoiseTrial]) -> Iterable[tuple[NoiseTrial, NoiseTrial]]:
    """Yield the pair of each block that has both; first those of one submission."""
    left: dict[tuple[int, str], list[NoiseTrial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda each: (each.block, each.submission, each.position)):
        left[trial.block, trial.side].append(trial)
    for block in sorted({trial.block for trial in trials}):
        of_a, of_b = left[block, "a"], left[block, "b"]
        for a in list(of_a):
            b = next((each for each in of_b if each.submission == a.submission), None)
            if b is not None:
                of_a.remove(a)
                of_b.remove(b)
                yield a, b
        yield from zip(of_a, of_b, strict=False)


def _why(trials: Sequence[NoiseTrial], pairs: Sequence[tuple[NoiseTrial, NoiseTrial]]) -> str:
    """Name the order within the blocks or a drift over them; empty where neither shows."""
    ordered = [sorted(pair, key=lambda trial: trial.position) for pair in pairs]
    second = paired([a.value for a, _ in ordered], [b.value for _, b in ordered])
    if second is not None and _is_off(second):
        return f"the second trial of a block is {_change(second)} the first"
    half = sorted(trials, key=lambda trial: trial.position)
    first, last = half[: len(half) // 2], half[len(half) // 2 :]
    drift = welch([trial.value for trial in first], [trial.value for trial in last])
    if drift is not None and _is_off(drift):
        return f"it drifts: the second half of the trials is {_change(drift)} the first"
    return ""


def _is_off(estimate: Estimate) -> bool:
    return estimate.p < ALARM / 2


def _change(estimate: Estimate) -> str:
    percent = 100 * abs(estimate.ratio - 1)
    return f"{percent:.1f} % {'faster' if estimate.ratio > 1 else 'slower'} than"
