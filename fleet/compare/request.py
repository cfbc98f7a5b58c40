"""What one comparison is asked for, as one value. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.comparability import AxisRules, check_fact
from fleet.compare.side_names import check_apart, of_sides
from fleet.query.variant import Variant
from fleet.stats.ratios import SAME_WITHIN

NO_AXIS = "machine"
"""The axis to read by where nothing varies: then each cell stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest:
    """Which trials are compared, by which axis, on which metrics, and how strictly."""

    axis: str
    sides: tuple[str, ...] = ()
    """The values of the axis that are compared; empty: all of them."""
    where: str = ""
    """Clauses such as `model=gpt-oss:20b, memory_gb>=96`."""
    experiment: str | None = None
    metrics: tuple[str, ...] = ("prefill", "decode")
    baseline: str | None = None
    """The side that the others are compared with; None: the first named one, else the first."""
    allow_diff: tuple[str, ...] = ()
    """Facts that may differ although they are refused otherwise."""
    pool: bool = False
    """Put unlike machines on one side."""
    same_within: float = SAME_WITHIN
    """Two sides are the same where the whole interval of their ratio lies within this of 1."""

    @property
    def rules(self) -> AxisRules:
        """Raises UnknownName for an allowed difference that is no fact."""
        return AxisRules(self.axis, frozenset(map(check_fact, self.allow_diff)))

    @property
    def names(self) -> list[str]:
        """Every side that the user has named."""
        return [*self.sides, *([self.baseline] if self.baseline else [])]

    @property
    def first(self) -> str | None:
        """The name of the baseline, where the user has given one."""
        return self.baseline or next(iter(self.sides), None)

    def named(self, variants: Sequence[Variant]) -> list[Variant]:
        """Return the variants of the named sides; all of them where no side is named.

        Raises UnknownName for a side that nobody is called, UserError for sides that overlap.
        """
        of_sides(variants, self.axis, self.names)
        check_apart(self.axis, self.names, variants)
        return of_sides(variants, self.axis, self.names if self.sides else ())
