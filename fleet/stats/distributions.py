"""Computes quantiles that the standard library lacks. Pure."""

from __future__ import annotations

import math


def chi2_quantile(probability: float, df: float) -> float:
    """Return the value below which a share (0 < p < 1) of the chi-square distribution lies."""
    low, high = 0.0, df + 10.0
    while chi2_cdf(high, df) < probability:
        high *= 2
    while high - low > 1e-12 * high:  # bisection: slow, and cannot fail
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if chi2_cdf(middle, df) < probability else (low, middle)
    return (low + high) / 2


def chi2_cdf(x: float, df: float) -> float:
    """Compute the regularised incomplete gamma function P(df/2, x/2).

    The method is that of Numerical Recipes, 3rd edition, 6.2.
    """
    a, half = df / 2, x / 2
    if half <= 0:
        return 0.0
    front = math.exp(a * math.log(half) - half - math.lgamma(a))
    if half < a + 1:
        return front * _series(a, half)
    return 1 - front * _fraction(a, half)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    step = a
    while term > total * 1e-16:
        step += 1
        term *= x / step
        total += term
    return total


def _fraction(a: float, x: float) -> float:
    """Lentz's continued fraction of the upper tail."""
    b = x + 1 - a
    c, d = math.inf, 1 / b
    fraction = d
    for i in range(1, 10_000):
        factor = -i * (i - a)
        b += 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return fraction
