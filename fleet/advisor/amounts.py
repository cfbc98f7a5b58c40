"""A number with the interval in which it is expected, and how it is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Certainty(StrEnum):
    """How a number is known, from best to worst."""

    EXACT = "exact"
    """Arithmetic on metadata."""
    CALIBRATED = "calibrated"
    """A model of ours, scaled by measurements of this very machine."""
    MODELLED = "modelled"
    """A formula with fitted constants."""
    REPORTED = "reported"
    """A figure that somebody else published."""
    UNKNOWN = "unknown"


_ORDER = {certainty: place for place, certainty in enumerate(Certainty)}


def _weaker(first: Certainty, other: Certainty) -> Certainty:
    """Return the weaker certainty: a sum is known no better than its worst known part."""
    return first if _ORDER[first] >= _ORDER[other] else other


@dataclass(frozen=True, slots=True)
class Amount:
    """The expected value, and the low and the high end of the interval around it."""

    value: float
    low: float
    high: float
    certainty: Certainty

    def plus(self, other: Amount) -> Amount:
        return Amount(
            self.value + other.value,
            self.low + other.low,
            self.high + other.high,
            _weaker(self.certainty, other.certainty),
        )

    def times(self, factor: float) -> Amount:
        return Amount(self.value * factor, self.low * factor, self.high * factor, self.certainty)


def exact(value: float) -> Amount:
    return Amount(value, value, value, Certainty.EXACT)


def modelled(value: float, low: float, high: float) -> Amount:
    return Amount(value, min(low, value), max(high, value), Certainty.MODELLED)


ZERO = exact(0)


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum; its interval is as wide as if every part missed in the same direction."""
    result = ZERO
    for amount in amounts:
        result = result.plus(amount)
    return result
