"""What a comparison says in one of five words, and why. Pure.

The words speak of speed: a shorter time to first token is `faster` though its ratio is below 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fleet.compare.estimates import SAME_WITHIN, Estimate

Word = Literal["faster", "slower", "same", "not resolved", "not comparable"]

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    word: Word
    reason: str = ""


def verdict(
    estimate: Estimate,
    *,
    higher_is_faster: bool,
    p_adjusted: float | None = None,
    same_within: float = SAME_WITHIN,
) -> Verdict:
    """The word for a side against the baseline; `p_adjusted` is the p value after Holm."""
    p = estimate.p if p_adjusted is None else p_adjusted
    if p <= SIGNIFICANT and estimate.ratio != 1:
        faster = (estimate.ratio > 1) == higher_is_faster
        return Verdict("faster" if faster else "slower")
    if estimate.within(same_within):
        return Verdict("same", f"the whole interval lies within {100 * same_within:g} %")
    return Verdict("not resolved", _could_see(estimate.could_see))


def _could_see(share: float) -> str:
    if share > 1:
        return "the trials vary too much: not even a doubling could be seen"
    return f"could see >= {show_percent(share)}"


def show_percent(share: float) -> str:
    """`3.2 %`, `48 %`: of a share such as 0.032."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"
