"""What of two machines may explain a ratio: memory, bandwidth, GPU cores. Pure.

Reading an answer moves the weights once per token, so decode should follow the bandwidths; a
prompt is arithmetic, so prefill should follow the cores; and what does not fit in the GPU's memory
is slow for that alone. A prediction that agrees is consistent with what was seen, never proof:
two machines differ in many things at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.comparability import HARDWARE_AXES
from fleet.compare.causes import SPILL_SHOWN
from fleet.compare.sides import Side
from fleet.metrics.compared import Metric
from fleet.stats.ratios import Estimate
from fleet.stats.verdict import Word, show_percent

Candidate = Literal["memory", "bandwidth", "GPU cores"]

WITHIN = 0.05
"""A prediction this near the ratio agrees with it, even outside its interval: published peaks are
no closer."""

LEGEND = (
    "consistent with: what it predicts lies within the interval or within "
    f"{100 * WITHIN:g} % of the ratio seen; that is no proof. GPU cores are counted, their clocks "
    "are not known, and cores of two generations are not the same"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one candidate alone would make of the ratio."""

    candidate: Candidate
    ratio: float | None
    """None: it predicts no number, or a fact is not known."""
    consistent: bool | None
    """None: it cannot be judged here."""
    words: str

    def __str__(self) -> str:
        return f"{self.candidate}: {self.words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    words: str
    predictions: tuple[Prediction, ...]


def explanation(
    baseline: Side, side: Side, metric: Metric, estimate: Estimate, verdict: Word, axis: str
) -> Explanation | None:
    """None where the sides are no machines, it is no rate of the engine, nothing is resolved, or
    no candidate is known."""
    if axis not in HARDWARE_AXES or metric.name not in ("prefill", "decode"):
        return None
    if verdict not in ("faster", "slower", "same"):
        return None
    if any("yes" in each.facts("drafts") for each in (baseline, side)):
        return None  # one read of the weights gives as many tokens as the drafts allow
    memory = _memory(baseline, side, estimate, verdict)
    spilled = any(_spills(each) for each in (baseline, side))
    rates = [
        _of_fact("bandwidth", "memory_bandwidth_gb_s", "GB/s", baseline, side, estimate, spilled),
        _of_fact("GPU cores", "gpu_cores", "cores", baseline, side, estimate, spilled),
    ]
    if metric.name == "prefill":
        rates.reverse()
    if not memory.consistent and all(each.ratio is None for each in rates):
        return None
    words = _told(memory, rates, estimate, spilled)
    return Explanation(words=words, predictions=(memory, *rates))


def _told(
    memory: Prediction, rates: Sequence[Prediction], estimate: Estimate, spilled: bool
) -> str:
    seen = f"{estimate.ratio:.3g} x"
    if memory.consistent:
        return f"consistent with {memory}"
    if spilled:
        return f"not explained by {memory}; seen {seen}"
    first, other = rates
    if first.consistent:
        also = f"; {other.candidate} would too: {other.words}" if other.consistent else ""
        return f"consistent with {first}, seen {seen}{also}"
    if other.consistent:
        return f"consistent with {other}, seen {seen}; not with {first}"
    known = [each for each in rates if each.ratio is not None]
    unknown = "; ".join(str(each) for each in rates if each.ratio is None)
    if not known:
        return f"{seen} not explained: {unknown}"
    if unknown:
        return f"{_short(known[0])} does not explain {seen}; {unknown}"
    return f"neither {_short(first)} nor {_short(other)} explains {seen}"


def _short(of: Prediction) -> str:
    return f"{of.candidate} ({of.ratio:.3g} x)"


def _memory(baseline: Side, side: Side, estimate: Estimate, verdict: Word) -> Prediction:
    slow, quick = (side, baseline) if estimate.ratio < 1 else (baseline, side)
    share, other = _share(slow), _share(quick)
    if share is None or other is None:
        untold = slow if share is None else quick
        words = f"where the model lay on {untold.name} is not known"
        return Prediction(candidate="memory", ratio=None, consistent=None, words=words)
    if max(share, other) < SPILL_SHOWN:
        words = "the model lay whole in the GPU's memory on both"
        return Prediction(candidate="memory", ratio=None, consistent=False, words=words)
    worse, most = (slow, share) if share > other else (quick, other)
    words = f"{show_percent(most)} of the model ran on the CPU of {worse.name}"
    agrees = verdict != "same" and worse is slow
    return Prediction(candidate="memory", ratio=None, consistent=agrees, words=words)


def _of_fact(
    candidate: Candidate,
    fact: str,
    unit: str,
    baseline: Side,
    side: Side,
    estimate: Estimate,
    spilled: bool,
) -> Prediction:
    """Of a model partly on the CPU neither the bandwidth nor the cores of the GPU predict much."""
    theirs, ours = _number(baseline, fact), _number(side, fact)
    if theirs is None or ours is None:
        words = f"not known of {(baseline if theirs is None else side).name}"
        return Prediction(candidate=candidate, ratio=None, consistent=None, words=words)
    if candidate == "GPU cores" and _maker(baseline) != _maker(side):
        words = "of two makers, which cannot be compared"
        return Prediction(candidate=candidate, ratio=None, consistent=None, words=words)
    ratio = ours / theirs
    agrees = estimate.low <= ratio <= estimate.high or _near(ratio, estimate.ratio)
    clock = ", clocks not known" if candidate == "GPU cores" else ""
    return Prediction(
        candidate=candidate,
        ratio=ratio,
        consistent=None if spilled else agrees,
        words=f"{ours:g} / {theirs:g} {unit} = {ratio:.3g} x{clock}",
    )


def _near(predicted: float, seen: float) -> bool:
    return abs(math.log(predicted / seen)) <= math.log1p(WITHIN)


def _share(side: Side) -> float | None:
    """Of the model on the CPU: the largest over the side's trials; None: placement not told."""
    told = [variant.row["cpu_share"] for variant in side.variants]
    if None in told:
        return None
    return max(float(str(share)) for share in told)


def _spills(side: Side) -> bool:
    return (_share(side) or 0.0) >= SPILL_SHOWN


def _number(side: Side, fact: str) -> float | None:
    """Of a side whose machines all have the same."""
    values = side.facts(fact)
    value = next(iter(values)) if len(values) == 1 else None
    return float(value) if value is not None and float(value) > 0 else None


def _maker(side: Side) -> str:
    return min(str(name) for name in side.facts("gpu")).split()[0]
