"""Which number to believe: measured here, measured elsewhere, calibrated, or modelled."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fleet.advisor.amounts import Amount, Certainty


class Origin(StrEnum):
    """Where an expected rate comes from, best first."""

    MEASURED_HERE = "measured here"
    MEASURED_ELSEWHERE = "measured on the same hardware"
    CALIBRATED = "calibrated by two anchors of this machine"
    MODELLED = "modelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One rate measured on this machine beside what is expected of it."""

    measured: float
    expected: float
    mixture: bool

    @property
    def ratio(self) -> float:
        return self.measured / self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the caller knows of the very cell that is asked about, and of the machine."""

    here: Sequence[float] = ()
    """Rates measured on this machine: same model, settings and depth."""
    elsewhere: Sequence[float] = ()
    """The same on machines with the same hardware."""
    anchors: Sequence[Anchor] = ()


@dataclass(frozen=True, slots=True)
class Believed:
    """The rate to show, and why this one."""

    rate: Amount
    origin: Origin


SPREAD_HERE, SPREAD_ELSEWHERE = 0.03, 0.15
"""Least half width of the interval around measured rates: runs of one machine, and of machines
with equal hardware but other hosts and builds."""
ANCHORED_SAME, ANCHORED_OTHER = 0.08, 0.3
"""Half width where the anchor is of the same class (dense or mixture): 2.8 % median; one of the
other class alone misses by 14 to 21 %, which is worse than none, and is not used."""


def believe(modelled_rate: Amount, evidence: Evidence, *, mixture: bool) -> Believed:
    """Return the best known rate.

    Two anchors, one dense and one mixture, calibrate a machine: the one of the model's class
    scales the modelled rate. A machine with anchors of one class only is not calibrated for the
    other.
    """
    here = [rate for rate in evidence.here if _possible(rate)]
    if here:
        return Believed(_around(here, SPREAD_HERE, Certainty.EXACT), Origin.MEASURED_HERE)
    elsewhere = [rate for rate in evidence.elsewhere if _possible(rate)]
    if elsewhere:
        around = _around(elsewhere, SPREAD_ELSEWHERE, Certainty.REPORTED)
        return Believed(around, Origin.MEASURED_ELSEWHERE)
    ratio = calibration(evidence.anchors, mixture=mixture)
    if ratio is None:
        return Believed(modelled_rate, Origin.MODELLED)
    value = modelled_rate.value * ratio
    calibrated = Amount(
        value, value * (1 - ANCHORED_SAME), value * (1 + ANCHORED_SAME), Certainty.CALIBRATED
    )
    return Believed(calibrated, Origin.CALIBRATED)


def calibration(anchors: Sequence[Anchor], *, mixture: bool) -> float | None:
    """Return the factor from modelled to measured on this machine.

    None unless both classes are known.
    """
    usable = [a for a in anchors if _possible(a.measured) and _possible(a.expected)]
    if len({anchor.mixture for anchor in usable}) < 2:
        return None
    return statistics.median(a.ratio for a in usable if a.mixture is mixture)


def _possible(rate: float) -> bool:
    return math.isfinite(rate) and rate > 0


def _around(rates: Sequence[float], spread: float, certainty: Certainty) -> Amount:
    middle = statistics.median(rates)
    return Amount(
        middle,
        min(min(rates), middle * (1 - spread)),
        max(max(rates), middle * (1 + spread)),
        certainty,
    )
