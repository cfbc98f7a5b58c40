"""One side of a comparison: the trials that stand for one value of the axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

from fleet.metrics.metric import Metric
from fleet.query.variant import THROTTLED, Block, Variant

Value = tuple[str, Block, float]
"""Machine id, block, value."""


@dataclass(frozen=True)
class Side:
    """The trials that stand for one value of the axis."""

    name: str
    variants: tuple[Variant, ...]
    apart: Mapping[str, int]
    """Trials kept apart, by the reason."""
    value_cache: dict[tuple[str, bool], list[Value]] = field(default_factory=dict, compare=False)
    fact_cache: dict[str, frozenset[str | None]] = field(default_factory=dict, compare=False)
    length_cache: dict[str, list[int]] = field(default_factory=dict, compare=False)

    @cached_property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted({v.machine_id for v in self.variants}))

    @property
    def trials(self) -> int:
        return sum(variant.trials for variant in self.variants)

    @property
    def throttled(self) -> int:
        """The number of trials that throttled; they stay on the side."""
        return sum(variant.trials for variant in self.variants if variant.throttled)

    @property
    def flags(self) -> str:
        """The flags of every trial, and `throttled` where any trial has it."""
        label = self.variants[0].label
        return " ".join(filter(None, (label, THROTTLED if self.throttled else "")))

    def has(self, flag: str) -> bool:
        return flag in self.flags.split()

    @property
    def cpu_share(self) -> float | None:
        """The largest known share of the model outside the GPU's memory; None: none is known."""
        shares = (variant.cpu_share for variant in self.variants)
        return max((share for share in shares if share is not None), default=None)

    @property
    def imported(self) -> bool:
        return any(variant.imported for variant in self.variants)

    @cached_property
    def blocks(self) -> frozenset[str]:
        """Every block that a trial of this side is of, by experiment and session."""
        return frozenset(
            f"{variant.session}/{block}"
            for variant in self.variants
            for block in variant.lists["blocks"]
        )

    def in_turn_with(self, other: Side) -> bool:
        """Return whether the two were measured in the same span of time, not one after another."""
        own, others = self._span(), other._span()
        return own[0] <= others[1] and others[0] <= own[1]

    def _span(self) -> tuple[str, str]:
        first = min(variant.first_at for variant in self.variants)
        return first, max(variant.last_at for variant in self.variants)

    def values(self, metric: Metric) -> list[Value]:
        """Return the value of every trial that has one, with its machine and block."""
        key = metric.name, metric.heated
        if key not in self.value_cache:
            self.value_cache[key] = [
                (variant.machine_id, block, value)
                for variant in self.variants
                for block, value in zip(variant.blocks, _numbers(variant, metric), strict=True)
                if value is not None and value > 0
            ]
        return self.value_cache[key]

    def plain(self, column: str) -> list[float]:
        return [x for v in self.variants for x in v.numbers(column) if x is not None]

    def lengths(self, count: str) -> list[int]:
        """Return the token counts of its trials, each once, the shortest first."""
        if count not in self.length_cache:
            self.length_cache[count] = sorted(set(map(round, self.plain(count))))
        return self.length_cache[count]

    def middle(self, column: str | None) -> float | None:
        """Return the median over the trials that have a value."""
        values = self.plain(column) if column is not None else []
        return median(values) if values else None

    def words(self, fact: str) -> str:
        return ", ".join(sorted(filter(None, self.facts(fact))))

    def facts(self, fact: str) -> frozenset[str | None]:
        """Return every value of a fact; None among them: not known of some trials."""
        if fact not in self.fact_cache:
            self.fact_cache[fact] = frozenset(variant.text(fact) for variant in self.variants)
        return self.fact_cache[fact]

    def notes(self, column: str) -> set[str]:
        """Return why its trials have no value, each reason once."""
        return set[str]().union(*(variant.notes(column) for variant in self.variants))


def _numbers(variant: Variant, metric: Metric) -> list[float | None]:
    plain = variant.numbers(metric.column)
    if not metric.heated or metric.sustained is None:
        return plain
    after = variant.numbers(metric.sustained)
    return [p if a is None or p is None else a for a, p in zip(after, plain, strict=True)]
