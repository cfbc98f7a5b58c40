"""Ratios of two sides with their uncertainty. The unit is the trial, never the request.

All tests work on logarithms, so a difference is a ratio. Pure; no third-party library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.80
SAME_WITHIN = 0.05
"""Two sides are the same when the whole confidence interval lies within this of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Ratio of side b to side a, with its 95 % confidence interval."""

    ratio: float
    low: float
    high: float
    p: float
    df: float
    n_a: int
    n_b: int
    half_width: float
    """Relative: 0.03 says that the ratio is known within about 3 %."""
    could_see: float
    """Smallest relative difference seen in 80 % of such comparisons (MDE)."""

    @property
    def same(self) -> bool:
        """The whole interval lies within 5 % of 1: the two are equivalent."""
        return self.low >= 1 / (1 + SAME_WITHIN) and self.high <= 1 + SAME_WITHIN


def paired(a: Sequence[float], b: Sequence[float]) -> Estimate | None:
    """Paired t test on the logs of b against a, pair by pair; None below two pairs."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values against {len(b)}: these are no pairs")
    if len(a) < 2:
        return None
    differences = [math.log(y) - math.log(x) for x, y in zip(a, b, strict=True)]
    mean, variance = _moments(differences)
    return _estimate(mean, math.sqrt(variance / len(a)), len(a) - 1, len(a), len(b))


def welch(a: Sequence[float], b: Sequence[float]) -> Estimate | None:
    """Welch's t test on the logs of b against a; None where a side has fewer than two."""
    if min(len(a), len(b)) < 2:
        return None
    mean_a, variance_a = _moments([math.log(x) for x in a])
    mean_b, variance_b = _moments([math.log(y) for y in b])
    of_a, of_b = variance_a / len(a), variance_b / len(b)
    squared = of_a + of_b
    df = float(len(a) + len(b) - 2)
    if squared > 0:  # Welch 1947: the degrees of freedom of a sum of two variances
        df = squared**2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
    return _estimate(mean_b - mean_a, math.sqrt(squared), df, len(a), len(b))


def half_width(values: Sequence[float]) -> float:
    """Relative half-width of the interval of the mean log; infinite below two values."""
    if len(values) < 2:
        return math.inf
    _, variance = _moments([math.log(value) for value in values])
    quantile = t_quantile((1 + CONFIDENCE) / 2, len(values) - 1)
    return math.expm1(quantile * math.sqrt(variance / len(values)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample variance."""
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _estimate(difference: float, error: float, df: float, n_a: int, n_b: int) -> Estimate:
    reach = t_quantile((1 + CONFIDENCE) / 2, df) * error
    p = 2 * t_cdf(-abs(difference) / error, df) if error > 0 else float(difference == 0)
    return Estimate(
        ratio=math.exp(difference),
        low=math.exp(difference - reach),
        high=math.exp(difference + reach),
        p=p,
        df=df,
        n_a=n_a,
        n_b=n_b,
        half_width=math.expm1(reach),
        could_see=math.expm1(reach + t_quantile(POWER, df) * error),
    )


def t_cdf(t: float, df: float) -> float:
    """Student's t distribution through the incomplete beta function."""
    square = t * t / (df + t * t)
    if square < 0.5:  # each form where it loses no digits
        tail = 0.5 - 0.5 * _incomplete_beta(0.5, df / 2, square)
    else:
        tail = 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return tail if t <= 0 else 1 - tail


@lru_cache(maxsize=256)
def t_quantile(probability: float, df: float) -> float:
    """The t below which `probability` (0 < p < 1) of the distribution lies."""
    if probability < 0.5:
        return -t_quantile(1 - probability, df)
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    t, step = NormalDist().inv_cdf(probability), 1.0
    while step > 1e-10 * (1 + t):  # Newton from the left: the curve is concave, so no overshoot
        density = math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))
        step = (probability - t_cdf(t, df)) / density
        t += step
    return t


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised, by Lentz's continued fraction (Numerical Recipes, 3rd edition, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            c, d = 1 + term / c, 1 / (1 + term * d)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction
