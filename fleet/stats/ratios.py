"""Computes ratios of two sides with their uncertainty. The unit is the trial, never the request.

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

MOST_LOG = 700.0
"""Greater logarithms overflow; nobody reads a ratio of 10^304."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Ratio of side b to side a, with its 95 % confidence interval."""

    ratio: float
    low: float
    high: float
    p: float
    df: float
    error: float
    """Standard error of the logarithm of the ratio."""
    n_a: int
    n_b: int
    half_width: float
    """Relative: 0.03 says that the ratio is known within about 3 %."""
    could_see: float
    """Smallest relative difference seen in 80 % of such comparisons (MDE)."""
    floored: bool = False
    """The spread seen was below the noise floor of the machine: the floor stands for it."""

    def within(self, share: float) -> bool:
        """Return whether the whole interval lies within this share of 1: equivalent sides.

        The 95 % interval, so stricter than two one-sided tests at 5 %, which use that of 90 %.
        """
        return self.low >= 1 / (1 + share) and self.high <= 1 + share


def paired(a: Sequence[float], b: Sequence[float], *, floor: float = 0.0) -> Estimate | None:
    """Test the logs of b against a, pair by pair (paired t test); None below two pairs.

    `floor`: the standard deviation of one trial's logarithm, as known of this machine; the error
    is never taken to be less than it gives.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values against {len(b)}: these are no pairs")
    if len(a) < 2:
        return None
    differences = [math.log(y) - math.log(x) for x, y in zip(a, b, strict=True)]
    mean, variance = _moments(differences)
    seen, least = math.sqrt(variance / len(a)), floor * math.sqrt(2 / len(a))
    return _estimate(mean, seen, len(a) - 1, (len(a), len(b)), least)


def welch(
    a: Sequence[float], b: Sequence[float], *, floors: tuple[float, float] = (0.0, 0.0)
) -> Estimate | None:
    """Test the logs of b against a (Welch's t test); None where a side has fewer than two."""
    return these_machines([a], [b], floors=([floors[0]], [floors[1]]))


def these_machines(
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    *,
    floors: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Estimate | None:
    """Test the mean of side b's machines against side a's, each a list of values.

    The spread is that between trials, so it speaks of these very machines; with one on each side
    it is Welch's test. None where a machine has fewer than two values.
    """
    sides = [[[math.log(x) for x in values] for values in side] for side in (a, b)]
    if any(len(logs) < 2 for side in sides for logs in side):
        return None
    means, squares, degrees, least = [0.0, 0.0], 0.0, 0.0, 0.0
    for index, side in enumerate(sides):
        for number, logs in enumerate(side):
            mean, variance = _moments(logs)
            share = variance / len(logs) / len(side) ** 2
            means[index] += mean / len(side)
            squares += share
            degrees += share**2 / (len(logs) - 1)
            if floors is not None:
                least += floors[index][number] ** 2 / len(logs) / len(side) ** 2
    counts = sum(map(len, a)), sum(map(len, b))
    # Welch 1947, Satterthwaite 1946: the degrees of freedom of a sum of variances
    df = squares**2 / degrees if degrees > 0 else float(sum(counts) - len(a) - len(b))
    return _estimate(means[1] - means[0], math.sqrt(squares), df, counts, math.sqrt(least))


def kinds_of_machines(
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    *,
    floors: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Estimate | None:
    """Test kinds of machines: Welch's test over each machine's mean logarithm.

    The spread is that between machines of one kind, so it speaks of the kinds. None where a side
    has fewer than two machines.
    """
    if min(len(a), len(b)) < 2 or not all((*a, *b)):
        return None
    means = [[math.exp(math.fsum(map(math.log, x)) / len(x)) for x in side] for side in (a, b)]
    over = welch(means[0], means[1])
    if over is None or floors is None:
        return over
    least = math.sqrt(
        sum(
            floor**2 / len(values) / len(side) ** 2
            for side, own in zip((a, b), floors, strict=True)
            for values, floor in zip(side, own, strict=True)
        )
    )
    return _estimate(math.log(over.ratio), over.error, over.df, (len(a), len(b)), least)


def detectable(error: float, df: float, family: int = 1) -> float:
    """Return the smallest relative difference seen in 80 % of such tests of a family.

    Holm's procedure asks of the smallest p value of a family what Bonferroni's asks of all.
    """
    alpha = (1 - CONFIDENCE) / max(family, 1)
    reach = (t_quantile(1 - alpha / 2, df) + t_quantile(POWER, df)) * error
    return math.expm1(min(reach, MOST_LOG))


def resolvable(error: float, df: float, family: int = 1) -> float:
    """Return the same as `detectable`, and right for few trials, where that promises too much.

    The noncentral t distribution by its normal approximation (Johnson & Welch 1940): of t with
    noncentrality d it holds that P(T > c) = Phi((d - c (1 - 1/4df)) / sqrt(1 + c^2/2df)).
    """
    alpha = (1 - CONFIDENCE) / max(family, 1)
    critical = t_quantile(1 - alpha / 2, df)
    spread = math.sqrt(1 + critical**2 / (2 * df))
    reach = critical * (1 - 1 / (4 * df)) + NormalDist().inv_cdf(POWER) * spread
    return math.expm1(min(reach * error, MOST_LOG))


def half_width(values: Sequence[float], *, floor: float = 0.0) -> float:
    """Return the relative half-width of the interval of the mean log; infinite below two.

    `floor`: as in `paired`.
    """
    if len(values) < 2:
        return math.inf
    _, variance = _moments([math.log(value) for value in values])
    quantile = t_quantile((1 + CONFIDENCE) / 2, len(values) - 1)
    reach = quantile * max(math.sqrt(variance), floor) / math.sqrt(len(values))
    return math.expm1(min(reach, MOST_LOG))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p values (1979), in the order given."""
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


def _estimate(
    difference: float, seen: float, df: float, counts: tuple[int, int], least: float = 0.0
) -> Estimate:
    """`seen`, `least`: the standard error by the spread, and by what is known of the machine."""
    error = max(seen, least)
    reach = min(t_quantile((1 + CONFIDENCE) / 2, df) * error, MOST_LOG - abs(difference))
    p = 2 * t_cdf(-abs(difference) / error, df) if error > 0 else float(difference == 0)
    return Estimate(
        ratio=math.exp(difference),
        low=math.exp(difference - reach),
        high=math.exp(difference + reach),
        p=p,
        df=df,
        error=error,
        n_a=counts[0],
        n_b=counts[1],
        half_width=math.expm1(reach),
        could_see=detectable(error, df),
        floored=least > seen,
    )


def t_cdf(t: float, df: float) -> float:
    """Compute Student's t distribution through the incomplete beta function."""
    square = t * t / (df + t * t)
    if square < 0.5:  # each form where it loses no digits
        tail = 0.5 - 0.5 * _incomplete_beta(0.5, df / 2, square)
    else:
        tail = 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return tail if t <= 0 else 1 - tail


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: float) -> float:
    """Return the t below which `probability` (0 < p < 1) of the distribution lies."""
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
