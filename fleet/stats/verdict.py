"""Gives the word of a comparison, and why. Pure.

Of speeds and times the words speak of speed: a shorter time to first token is `faster` though its
ratio is below 1. Of energy they say which side takes `less` or `more`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet.stats.ratios import SAME_WITHIN, Estimate

Word = Literal["faster", "slower", "less", "more", "same", "not resolved", "not comparable"]
Higher = Literal["faster", "slower", "more"]
"""What a higher value of a metric is called."""

OPPOSITE: dict[Higher, Word] = {"faster": "slower", "slower": "faster", "more": "less"}

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word, and the reason where it needs one."""

    word: Word
    reason: str = ""


def verdict(
    estimate: Estimate,
    *,
    higher: Higher,
    p_adjusted: float | None = None,
    same_within: float = SAME_WITHIN,
) -> Verdict:
    """Return the word for a side against the baseline; `p_adjusted`: the p value after Holm."""
    p = estimate.p if p_adjusted is None else p_adjusted
    if p <= SIGNIFICANT and estimate.ratio != 1:
        return Verdict(higher if estimate.ratio > 1 else OPPOSITE[higher])
    if estimate.within(same_within):
        return Verdict("same", f"the whole interval lies within {100 * same_within:g} %")
    return Verdict("not resolved", _could_see(estimate.could_see))


def _could_see(share: float) -> str:
    if share > 1:
        return "not even a doubling could be seen"
    return f"could see >= {show_percent(share)}"


def show_percent(share: float) -> str:
    """Return `3.2 %` or `48 %` for a share such as 0.032."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"
