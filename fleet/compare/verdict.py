"""What a comparison says in one of five words, and why. Pure.

The words speak of speed: a shorter time to first token is `faster` though its ratio is below 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.compare.estimates import Estimate

Word = Literal["faster", "slower", "same", "not resolved", "not comparable"]

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    word: Word
    reason: str = ""


def verdict(
    estimate: Estimate | None,
    *,
    higher_is_faster: bool,
    trials: tuple[int, int],
    refusals: Sequence[str] = (),
    p_adjusted: float | None = None,
) -> Verdict:
    """The word for a side against the baseline.

    `trials` counts the baseline's and the side's own; `p_adjusted` is the p value after Holm.
    """
    if refusals:
        return Verdict("not comparable", "; ".join(refusals))
    if estimate is None:
        return Verdict("not resolved", _too_few(trials))
    p = estimate.p if p_adjusted is None else p_adjusted
    if p <= SIGNIFICANT and estimate.ratio != 1:
        faster = (estimate.ratio > 1) == higher_is_faster
        return Verdict("faster" if faster else "slower")
    if estimate.same:
        return Verdict("same", "the whole interval lies within 5 %")
    return Verdict("not resolved", _could_see(estimate.could_see))


def _could_see(share: float) -> str:
    if share > 1:
        return "the trials vary too much: not even a doubling could be seen"
    return f"could see >= {show_percent(share)}"


def show_percent(share: float) -> str:
    """`3.2 %`, `48 %`: of a share such as 0.032."""
    percent = 100 * share
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _too_few(trials: tuple[int, int]) -> str:
    baseline, side = trials
    if baseline == side == 1:
        return "one trial per side"
    if min(trials) == 0:
        return "no trial on one side"
    return "one trial on one side" if min(trials) == 1 else "too few trials in common"
