"""Looks at one matchup on one metric: what each side shows, and what differs between them. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from statistics import median

from fleet.comparability import ENERGY_SCOPE, AxisRules
from fleet.compare.designs import Floors, PairEstimate, estimate_pair
from fleet.compare.differences import Differences, differences
from fleet.compare.matchups import Matchup
from fleet.compare.result import Line
from fleet.compare.sides import Side
from fleet.metrics.metric import Metric
from fleet.query.variant import TOO_SHORT
from fleet.query.variants import DECODE
from fleet.units import show_count

QUICK = "quick"
"""The flag of what was measured for a first glance."""
A_QUICK_LOOK = "a quick look, no measurement: submit it without --quick"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricMatchup:
    """One matchup on one metric."""

    matchup: Matchup
    metric: Metric
    lines: tuple[Line, ...]
    differing: tuple[Differences, ...]
    """Of each side after the baseline."""

    @property
    def sustained(self) -> bool:
        able = self.metric.sustained is not None
        return able and any(side.throttled for side in self.matchup.sides)

    def refused(self) -> list[str]:
        return [fact for each in self.differing for fact in sorted(each.facts)]

    def why_none(self, index: int) -> tuple[str, ...] | None:
        """Say why side `index` (0: the first after the baseline) is not comparable; None: it is."""
        baseline, line = self.lines[0], self.lines[index + 1]
        if any(self.matchup.sides[at].has(QUICK) for at in (0, index + 1)):
            return (A_QUICK_LOOK,)
        if self.differing[index].refused:
            return self.differing[index].refused
        if line.naive or baseline.naive or line.value is None or baseline.value is None:
            return () if line.reasons else baseline.reasons or ("no value on one side",)
        return None

    @property
    def judged_metric(self) -> Metric:
        """The metric that verdicts rest on: where a trial throttled, the one after the heat."""
        return self.metric.after_heat() if self.sustained else self.metric

    def estimates(self, floors: Floors) -> list[PairEstimate | None]:
        """Estimate each side after the baseline; None: not comparable."""
        baseline = self.matchup.sides[0]
        return [
            estimate_pair(baseline, side, self.judged_metric, floors=floors)
            if self.why_none(index) is None
            else None
            for index, side in enumerate(self.matchup.sides[1:])
        ]

    def shown(self, index: int) -> Line:
        """Return the line as the verdict sees it: where a trial throttled, after the heat."""
        line, side = self.lines[index], self.matchup.sides[index]
        if not self.sustained or line.naive or line.value is None:
            return line
        values = [value for _, _, value in side.values(self.judged_metric)]
        return replace(line, value=median(values) * self.metric.scale)


def on_metric(matchup: Matchup, metric: Metric, rules: AxisRules) -> MetricMatchup | None:
    """Look at one metric; None where the work is too short for any side to have it."""
    if all(_too_short(side, metric) for side in matchup.sides):
        return None
    baseline = matchup.sides[0]
    return MetricMatchup(
        matchup=matchup,
        metric=metric,
        lines=tuple(_line(side, metric) for side in matchup.sides),
        differing=tuple(differences(baseline, side, metric, rules) for side in matchup.sides[1:]),
    )


def _too_short(side: Side, metric: Metric) -> bool:
    if side.values(metric):
        return False
    if metric.note is None:
        return True
    return side.notes(metric.note) <= TOO_SHORT


def _line(side: Side, metric: Metric) -> Line:
    values = [value for _, _, value in side.values(metric)]
    naive = side.plain(metric.naive) if metric.naive and not values else []
    shown = values or naive
    label = side.variants[0].label
    reasons = [f"flagged {label}"] if label else []
    if metric.of_energy:
        reasons += _without_energy(side, metric)
    elif not values and metric.note:
        reasons += sorted(side.notes(metric.note))
    if metric.column == DECODE:
        opinions = {variant.second_opinion for variant in side.variants}
        reasons += [f"two clocks: {rates}" for rates in sorted(filter(None, opinions))]
    return Line(
        side=side.name,
        value=median(shown) * metric.scale if shown else None,
        naive=bool(naive),
        trials=len(shown),
        machines=len(side.machines),
        flags=side.flags,
        throttled=side.throttled,
        burst=_heat(side, metric.burst, metric),
        sustained=_heat(side, metric.sustained, metric),
        reasons=tuple(reasons),
        scope=side.words(ENERGY_SCOPE),
        source=side.words("energy_source"),
    )


def _without_energy(side: Side, metric: Metric) -> list[str]:
    """Say why some trials have no value: `energy not valid: gap (1 of 5 trials)`."""
    notes = [note for v in side.variants for note in v.lists[metric.note or ""] if note]
    of_all = f"of {show_count(side.trials, 'trial')}"
    return [f"{note} ({count} {of_all})" for note, count in sorted(Counter(notes).items())]


def _heat(side: Side, column: str | None, metric: Metric) -> float | None:
    """Return the median of a speed before or after the heat; None where no trial throttled."""
    value = side.middle(column) if side.throttled else None
    return None if value is None else value * metric.scale
