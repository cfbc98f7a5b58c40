"""One side of a comparison: the trials that stand for one value of the axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

from fleet import comparability as likeness
from fleet.metrics.compared import Metric
from fleet.query.variants import THROTTLED, Block, Variant

STATE = ("engine", "engine_version", "engine_environment", *likeness.ENVIRONMENT_FACTS)
STATE += ("digest", "job_content", "gpu_limit_mb")
STATE += ("hardware_id", "os_version", "os_build", "kernel", "gpu_driver")
"""Two values of these on one machine are two states of it: only one of them is compared."""


@dataclass(frozen=True)
class Side:
    """The trials that stand for one value of the axis."""

    name: str
    variants: tuple[Variant, ...]
    apart: Mapping[str, int]
    """Trials kept apart, by the reason."""
    known: dict[tuple[str, bool], list[tuple[str, Block, float]]] = field(
        default_factory=dict, compare=False
    )
    """Values, once they were asked for."""
    shown: dict[str, frozenset[str | None]] = field(default_factory=dict, compare=False)
    """The same of facts."""
    counts: dict[str, list[int]] = field(default_factory=dict, compare=False)
    """The same of token counts."""

    @cached_property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted({v.machine_id for v in self.variants}))

    @property
    def trials(self) -> int:
        return sum(variant.trials for variant in self.variants)

    @property
    def throttled(self) -> int:
        """So many of the trials; they stay on the side."""
        return sum(variant.trials for variant in self.variants if variant.throttled)

    @property
    def flags(self) -> str:
        """Those of every trial, and `throttled` where it is one's."""
        label = self.variants[0].label
        return " ".join(filter(None, (label, THROTTLED if self.throttled else "")))

    def has(self, flag: str) -> bool:
        return flag in self.flags.split()

    @property
    def cpu_share(self) -> float | None:
        """Of the model, outside the GPU's memory."""
        known = [float(str(v.row["cpu_share"])) for v in self.variants if v.row["cpu_share"]]
        return max(known, default=None)

    @property
    def imported(self) -> bool:
        return any(bool(v.row["imported"]) for v in self.variants)

    @cached_property
    def blocks(self) -> frozenset[str]:
        """Every block that a trial of this side is of, by experiment and session."""
        return frozenset(
            f"{variant.asked}/{block}"
            for variant in self.variants
            for block in variant.listed("blocks")
        )

    def in_turn_with(self, other: Side) -> bool:
        """The two were measured in the same span of time, not one after the other."""
        mine, theirs = self._span(), other._span()
        return mine[0] <= theirs[1] and theirs[0] <= mine[1]

    def _span(self) -> tuple[str, str]:
        first = min(str(variant.row["first_at"] or "") for variant in self.variants)
        return first, max(variant.age for variant in self.variants)

    def values(self, metric: Metric, sustained: bool = False) -> list[tuple[str, Block, float]]:
        """(machine id, block, value) of every trial that has one.

        `sustained`: the speed after heat has set in, for every trial that knows it.
        """
        key = metric.name, sustained and metric.sustained is not None
        if key not in self.known:
            self.known[key] = [
                (variant.machine_id, block, value)
                for variant in self.variants
                for block, value in zip(
                    variant.blocks, _numbers(variant, metric, key[1]), strict=True
                )
                if value is not None and value > 0
            ]
        return self.known[key]

    def plain(self, column: str) -> list[float]:
        return [x for v in self.variants for x in v.numbers(column) if x is not None]

    def lengths(self, count: str) -> list[int]:
        """The token counts of its trials, each once, the shortest first."""
        if count not in self.counts:
            self.counts[count] = sorted(set(map(round, self.plain(count))))
        return self.counts[count]

    def middle(self, column: str | None) -> float | None:
        """Median over the trials that have one."""
        values = self.plain(column) if column is not None else []
        return median(values) if values else None

    def told(self, field: str) -> str:
        return ", ".join(sorted(filter(None, self.facts(field))))

    def facts(self, field: str) -> frozenset[str | None]:
        if field not in self.shown:
            self.shown[field] = frozenset(variant.text(field) for variant in self.variants)
        return self.shown[field]

    def notes(self, column: str) -> set[str]:
        found: set[str] = set()
        for variant in self.variants:
            found |= {str(note) for note in variant.listed(column) if note}
        return found


def _numbers(variant: Variant, metric: Metric, sustained: bool) -> list[float | None]:
    plain = variant.numbers(metric.column)
    if not sustained or metric.sustained is None:
        return plain
    after = variant.numbers(metric.sustained)
    return [p if a is None or p is None else a for a, p in zip(after, plain, strict=True)]
