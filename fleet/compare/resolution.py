"""Says why a comparison is not resolved, and how many repeats would resolve it. Pure.

What a comparison can see follows from three things: how often was measured, how many comparisons
are shown together, and how much the trials vary. The repeats that would do follow from the same
formulas, with the spread that was seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fleet.compare.designs import WORTH_HAVING, Design
from fleet.stats.ratios import Estimate, detectable, resolvable
from fleet.stats.verdict import show_percent

Cause = Literal["repeats", "family", "spread"]

MOST_REPEATS = 1000
"""As many as an experiment may ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Why one comparison could not see `target`."""

    cause: Cause
    """repeats: too few of them, since as many as are worth having would do; family: alone the
    comparison could see it; spread: the trials vary too much for either."""
    repeats: int
    """How often was measured: blocks of a pair, else trials of a machine, or machines of a kind."""
    family: int
    spread: float
    """Standard deviation of one trial's logarithm, or of one machine's."""
    floored: bool
    """The spread is the noise floor of the machine: less was seen."""
    target: float
    """The difference to see, as a share: the one that was seen, or what counts as the same."""
    needed: int | None
    """Repeats that see the target in 80 % of such comparisons; None: no number up to 1000 does."""
    unit: Literal["repeats", "machines of a kind"] = "repeats"

    @property
    def words(self) -> str:
        comparisons = f"{self.family} comparisons at once"
        among = f" for {comparisons}" if self.family > 1 else ""
        why = {
            "repeats": f"{self.repeats} {self.unit} are too few{among}",
            "family": comparisons,
            "spread": f"the {'noise floor is' if self.floored else 'trials vary by'} "
            f"{show_percent(self.spread)}",
        }
        needed = self.needed or f"not even {MOST_REPEATS}"
        target = show_percent(self.target).replace(".0 %", " %")
        return f"{why[self.cause]}, {needed} {self.unit} would see {target}"


def resolution(
    estimate: Estimate,
    design: Design,
    *,
    family: int,
    same_within: float,
    machines: tuple[int, int] = (1, 1),
) -> Resolution | None:
    """Say what is missing; None where nothing is. `machines`: the number of them on each side."""
    target = max(same_within, math.expm1(abs(math.log(estimate.ratio))))
    if detectable(estimate.error, estimate.df, family) <= target:
        return None
    now = _repeats(estimate, design, machines)
    sees = _sees(estimate, design, family, machines)
    cause: Cause = "spread"
    if now < WORTH_HAVING and sees(WORTH_HAVING) <= target:
        cause = "repeats"
    elif family > 1 and detectable(estimate.error, estimate.df) <= target:
        cause = "family"
    return Resolution(
        cause=cause,
        repeats=now,
        family=family,
        spread=_spread(estimate, design),
        floored=estimate.floored,
        target=target,
        needed=_least(lambda n: sees(n) <= target, now + 1),
        unit="machines of a kind" if design == "kinds of machines" else "repeats",
    )


def _repeats(estimate: Estimate, design: Design, machines: tuple[int, int]) -> int:
    if design == "these machines":
        return min(estimate.n_a // machines[0], estimate.n_b // machines[1])
    return min(estimate.n_a, estimate.n_b)


def _spread(estimate: Estimate, design: Design) -> float:
    """Compute the spread of one trial from the error of the difference."""
    if design == "paired":
        return estimate.error * math.sqrt(estimate.n_a / 2)
    return estimate.error / math.sqrt(1 / estimate.n_a + 1 / estimate.n_b)


def _sees(
    estimate: Estimate, design: Design, family: int, machines: tuple[int, int]
) -> Callable[[int], float]:
    """Return the smallest difference that is seen, as a function of the number of repeats."""
    spread = _spread(estimate, design)
    a, b = machines if design == "these machines" else (1, 1)

    def sees(repeats: int) -> float:
        error = spread * math.sqrt((1 / a + 1 / b) / repeats)
        df = (a + b) * (repeats - 1) - 1  # Welch's are fewer than those of equal spreads
        return resolvable(error, repeats - 1 if design == "paired" else max(df, 1), family)

    return sees


def _least(does: Callable[[int], bool], first: int) -> int | None:
    """Return the smallest number from `first` on that does, if any: more never do worse."""
    if not does(MOST_REPEATS):
        return None
    low, high = first, max(first, MOST_REPEATS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if does(middle) else (middle + 1, high)
    return low
