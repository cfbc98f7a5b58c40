"""Gives the verdicts of all that is printed together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fleet.comparability import HARDWARE_AXES
from fleet.compare.controls import Control, controls
from fleet.compare.designs import Floors, PairEstimate
from fleet.compare.explanations import explanation, probable_cause
from fleet.compare.metric_matchups import MetricMatchup
from fleet.compare.request import ComparisonRequest
from fleet.compare.resolution import Resolution, resolution
from fleet.compare.result import Group, Line
from fleet.compare.sides import Side
from fleet.stats import ratios
from fleet.stats.ratios import Estimate
from fleet.stats.verdict import Verdict, show_percent, verdict
from fleet.units import show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One side against the baseline."""

    of: MetricMatchup
    index: int
    """Of the side, 0 for the first after the baseline."""
    estimated: PairEstimate | None
    """None: not comparable."""
    p: float | None
    """Adjusted; None: no estimate."""
    request: ComparisonRequest
    family: int
    """Tests that are shown together."""

    @property
    def baseline(self) -> Side:
        return self.of.matchup.sides[0]

    @property
    def side(self) -> Side:
        return self.of.matchup.sides[self.index + 1]

    @property
    def line(self) -> Line:
        """The side's line before it is judged."""
        return self.of.shown(self.index + 1)

    @property
    def listed(self) -> tuple[str, ...]:
        """What differs and forbids nothing."""
        return self.of.differing[self.index].listed


def judged(
    every: Sequence[MetricMatchup], floors: Floors, request: ComparisonRequest
) -> tuple[list[Group], int]:
    """Judge all that is printed together; return the number of tests, too.

    p is adjusted (Holm) over all of them.
    """
    estimates = [each.estimates(floors) for each in every]
    tested = [e.estimate.p for own in estimates for e in own if e is not None and e.estimate]
    adjusted = iter(ratios.holm(tested))
    works = [(each.matchup, each.metric) for each in every]
    of_works = controls(works, floors, request.axis, request.same_within)
    groups = []
    for each, own, control in zip(every, estimates, of_works, strict=True):
        lines = [each.shown(0)]
        for index, estimated in enumerate(own):
            p = next(adjusted) if estimated is not None and estimated.estimate else None
            pair = _Pair(
                of=each, index=index, estimated=estimated, p=p, request=request, family=len(tested)
            )
            lines.append(_line(pair))
        groups.append(_group(each, lines, control))
    return groups, len(tested)


def _line(pair: _Pair) -> Line:
    line, estimated = pair.line, pair.estimated
    if estimated is None:
        reasons = (*(pair.of.why_none(pair.index) or ()), *line.reasons, *pair.listed)
        return replace(line, verdict="not comparable", reasons=reasons)
    line = replace(
        line,
        design=estimated.design,
        unpaired=estimated.unpaired,
        noise_floor=estimated.floor,
    )
    if estimated.estimate is None:
        ratio = (line.value or 0.0) / (pair.of.shown(0).value or 1.0)
        reasons = (estimated.why, *line.reasons, *pair.listed)
        return replace(line, verdict="not resolved", too_few=True, ratio=ratio, reasons=reasons)
    could_see = ratios.detectable(estimated.estimate.error, estimated.estimate.df, pair.family)
    return _verdict_line(pair, estimated, replace(estimated.estimate, could_see=could_see), line)


def _verdict_line(pair: _Pair, estimated: PairEstimate, estimate: Estimate, line: Line) -> Line:
    metric, axis = pair.of.metric, pair.request.axis
    judgement = verdict(
        estimate,
        higher=metric.higher,
        p_adjusted=pair.p,
        same_within=pair.request.same_within,
    )
    unresolved = judgement.word == "not resolved"
    why_not = _resolution(pair, estimated, estimate) if unresolved else None
    cause = probable_cause(pair.baseline, pair.side, judgement.word, axis)
    explained = (
        explanation(pair.baseline, pair.side, metric, estimate, judgement.word)
        if axis in HARDWARE_AXES
        else None
    )
    own = (_reason(judgement, why_not), f"probably: {cause}" if cause else "", *_beside(estimated))
    return replace(
        line,
        estimate=estimate,
        ratio=estimate.ratio,
        p_adjusted=pair.p,
        verdict=judgement.word,
        cause=cause,
        resolution=why_not,
        explanation=explained,
        reasons=(*filter(None, own), *line.reasons, *pair.listed),
    )


def _resolution(pair: _Pair, estimated: PairEstimate, estimate: Estimate) -> Resolution | None:
    return resolution(
        estimate,
        estimated.design,
        family=pair.family,
        same_within=pair.request.same_within,
        machines=(len(pair.baseline.machines), len(pair.side.machines)),
    )


def _reason(judgement: Verdict, why_not: Resolution | None) -> str:
    return judgement.reason if why_not is None else f"{judgement.reason}: {why_not.words}"


def _beside(estimated: PairEstimate) -> Iterator[str]:
    """Yield what else the reader must know of how the error was estimated."""
    estimate = estimated.estimate
    if estimate is not None and estimate.floored and estimated.floor is not None:
        yield f"noise floor {show_percent(estimated.floor)}"
    if estimated.unpaired:
        yield f"{show_count(estimated.unpaired, 'trial')} left unpaired"


def _group(each: MetricMatchup, lines: Sequence[Line], control: tuple[Control, ...]) -> Group:
    matchup = each.matchup
    return Group(
        metric=each.metric.name,
        unit=each.metric.shown_unit,
        model=matchup.model,
        job=matchup.job,
        point=matchup.point,
        machine=matchup.machine,
        settings=matchup.settings,
        scope=matchup.scope,
        sustained=each.sustained,
        controls=control,
        lines=tuple(lines),
    )
