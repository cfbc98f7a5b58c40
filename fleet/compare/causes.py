"""Why one side is slower, where the data shows it: a phrase beside the verdict. Pure.

A cause is named only where it can make the slower side slower; it is probable, not proven.
"""

from __future__ import annotations

from collections.abc import Collection

from fleet.comparability import HARDWARE_AXES
from fleet.compare.sides import Side
from fleet.names import natural
from fleet.stats.verdict import Word, show_percent

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


def probable_cause(baseline: Side, side: Side, verdict: Word, axis: str) -> str:
    """`39 % of the model ran on the CPU`; empty where nothing that is known explains it."""
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
        theirs, ours = baseline.facts(fact), side.facts(fact)
        if fact != axis and theirs != ours and None not in theirs | ours:
            return f"{words} {_told(ours)} against {_told(theirs)}"
    return ""


def _told(values: Collection[str | None]) -> str:
    return " and ".join(sorted(map(str, values), key=natural))
