"""Explains a ratio where the data allows it: a probable cause, and what hardware predicts. Pure.

A cause is named only where it can make the slower side slower; it is probable, not proven.

Reading an answer moves the weights once per token, so decode should follow the bandwidths; a
prompt is arithmetic, so prefill should follow the cores; and what does not fit in the GPU's memory
is slow for that alone. A prediction that agrees is consistent with what was seen, never proof:
two machines differ in many things at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.comparability import HARDWARE_AXES
from fleet.compare.sides import Side
from fleet.metrics.metric import Metric
from fleet.names import natural
from fleet.stats.ratios import Estimate
from fleet.stats.verdict import Word, show_percent

Candidate = Literal["memory", "bandwidth", "GPU cores"]

SPILL_SHOWN = 0.005
"""Of the model on the CPU: below half a per cent it is rounding."""

LIMITS = ("wired_limit_mb", "gpu_limit_mb")
"""Axes on which a side is a limit, not an owner."""

LOW_POWER = "low"
SETUP = (
    ("num_ctx", "num_ctx"),
    ("kv_cache_type", "KV cache type"),
    ("flash_attention", "flash attention"),
    ("engine_version", "engine version"),
    ("power_mode", "power mode"),
    ("gpu_driver", "GPU driver"),
)
"""What may make either side the slower one, the likeliest first. Of two kinds of machines the
machine is the likeliest cause, so there these are only listed."""

WITHIN = 0.05
"""A prediction this near the ratio agrees with it, even outside its interval: published peaks are
no closer."""

LEGEND = (
    "consistent with: what it predicts lies within the interval or within "
    f"{100 * WITHIN:g} % of the ratio seen; that is no proof. GPU cores are counted, their clocks "
    "are not known, and cores of two generations are not the same"
)


@dataclass(frozen=True, slots=True)
class _Rate:
    """A fact of a machine that a rate may follow."""

    candidate: Candidate
    fact: str
    unit: str


BANDWIDTH = _Rate("bandwidth", "memory_bandwidth_gb_s", "GB/s")
CORES = _Rate("GPU cores", "gpu_cores", "cores")


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
    """What the candidates make of one ratio, in one line and one by one."""

    words: str
    predictions: tuple[Prediction, ...]


def explanation(
    baseline: Side, side: Side, metric: Metric, estimate: Estimate, verdict: Word
) -> Explanation | None:
    """Explain the ratio of two machines by their hardware.

    None where it is no rate of the engine, nothing is resolved, or no candidate is known.
    """
    if metric.name not in ("prefill", "decode"):
        return None
    if verdict not in ("faster", "slower", "same"):
        return None
    if any("yes" in each.facts("drafts") for each in (baseline, side)):
        return None  # one read of the weights gives as many tokens as the drafts allow
    memory = _memory(baseline, side, estimate, verdict)
    spilled = any(_spills(each) for each in (baseline, side))
    rates = [_predict(each, baseline, side, estimate, spilled) for each in (BANDWIDTH, CORES)]
    if metric.name == "prefill":
        rates.reverse()
    if not memory.consistent and all(each.ratio is None for each in rates):
        return None
    words = _conclusion(memory, rates, estimate, spilled)
    return Explanation(words=words, predictions=(memory, *rates))


def _conclusion(
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
        unknown = slow if share is None else quick
        words = f"where the model lay on {unknown.name} is not known"
        return Prediction(candidate="memory", ratio=None, consistent=None, words=words)
    if max(share, other) < SPILL_SHOWN:
        words = "the model lay whole in the GPU's memory on both"
        return Prediction(candidate="memory", ratio=None, consistent=False, words=words)
    worse, most = (slow, share) if share > other else (quick, other)
    words = f"{show_percent(most)} of the model ran on the CPU of {worse.name}"
    agrees = verdict != "same" and worse is slow
    return Prediction(candidate="memory", ratio=None, consistent=agrees, words=words)


def _predict(
    of: _Rate, baseline: Side, side: Side, estimate: Estimate, spilled: bool
) -> Prediction:
    """Predict the ratio from one fact; for a model partly on the CPU the GPU predicts little."""
    of_baseline, of_side = _number(baseline, of.fact), _number(side, of.fact)
    if of_baseline is None or of_side is None:
        words = f"not known of {(baseline if of_baseline is None else side).name}"
        return Prediction(candidate=of.candidate, ratio=None, consistent=None, words=words)
    if of is CORES and _maker(baseline) != _maker(side):
        words = "of two makers, which cannot be compared"
        return Prediction(candidate=of.candidate, ratio=None, consistent=None, words=words)
    ratio = of_side / of_baseline
    agrees = estimate.low <= ratio <= estimate.high or _near(ratio, estimate.ratio)
    clock = ", clocks not known" if of is CORES else ""
    return Prediction(
        candidate=of.candidate,
        ratio=ratio,
        consistent=None if spilled else agrees,
        words=f"{of_side:g} / {of_baseline:g} {of.unit} = {ratio:.3g} x{clock}",
    )


def _near(predicted: float, seen: float) -> bool:
    return abs(math.log(predicted / seen)) <= math.log1p(WITHIN)


def _share(side: Side) -> float | None:
    """Return the largest share of the model on the CPU; None: not known of some trials."""
    known = all(variant.cpu_share is not None for variant in side.variants)
    return side.cpu_share if known else None


def _spills(side: Side) -> bool:
    return (_share(side) or 0.0) >= SPILL_SHOWN


def _number(side: Side, fact: str) -> float | None:
    """Return a fact that all machines of a side share, as a positive number."""
    values = side.facts(fact)
    value = next(iter(values)) if len(values) == 1 else None
    return float(value) if value is not None and float(value) > 0 else None


def _maker(side: Side) -> str:
    return min(str(name) for name in side.facts("gpu")).split()[0]


def probable_cause(baseline: Side, side: Side, verdict: Word, axis: str) -> str:
    """Name the likeliest cause: `39 % of the model ran on the CPU`; empty: none is known."""
    if verdict not in ("faster", "slower"):
        return ""
    slow, quick = (baseline, side) if verdict == "faster" else (side, baseline)
    of_whom = "" if slow is side else f" of {slow.name}"
    return (
        _spill(slow, quick, f" under {slow.name}" if of_whom and axis in LIMITS else of_whom)
        or _heat(slow, quick, of_whom)
        or _power(slow, quick, of_whom)
        or _setup(baseline, side, axis)
    )


def _spill(slow: Side, quick: Side, of_whom: str) -> str:
    share, other = slow.cpu_share or 0.0, quick.cpu_share or 0.0
    if not slow.has("spilled") or share < SPILL_SHOWN or share <= other:
        return ""
    return f"{show_percent(share)} of the model ran on the CPU{of_whom}"


def _heat(slow: Side, quick: Side, of_whom: str) -> str:
    if slow.throttled and slow.throttled * quick.trials > quick.throttled * slow.trials:
        return f"{slow.throttled} of {slow.trials} trials{of_whom} throttled"
    return ""


def _power(slow: Side, quick: Side, of_whom: str) -> str:
    if slow.facts("power_source") == {"battery"} != quick.facts("power_source"):
        return f"ran{of_whom} on battery"
    if slow.facts("power_mode") == {LOW_POWER} and LOW_POWER not in quick.facts("power_mode"):
        return f"low power mode{of_whom}"
    return ""


def _setup(baseline: Side, side: Side, axis: str) -> str:
    for fact, words in () if axis in HARDWARE_AXES else SETUP:
        of_baseline, of_side = baseline.facts(fact), side.facts(fact)
        if fact != axis and of_baseline != of_side and None not in of_baseline | of_side:
            return f"{words} {_values(of_side)} against {_values(of_baseline)}"
    return ""


def _values(values: Collection[str | None]) -> str:
    return " and ".join(sorted(map(str, values), key=natural))
