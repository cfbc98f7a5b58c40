"""The verdicts of all that is printed together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fleet.compare.causes import probable_cause
from fleet.compare.controls import Control, controls
from fleet.compare.designs import Contrast, Floors
from fleet.compare.explanations import explanation
from fleet.compare.metric_matchups import MetricMatchup
from fleet.compare.resolution import Resolution, resolution
from fleet.compare.result import Group, Line
from fleet.compare.sides import Side
from fleet.stats import ratios as estimates
from fleet.stats.ratios import Estimate
from fleet.stats.verdict import Verdict, show_percent, verdict
from fleet.units import show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What all verdicts of one comparison have in common."""

    axis: str
    same_within: float
    family: int
    """Tests that are shown together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One side against the baseline."""

    on: MetricMatchup
    index: int
    """Of the side, 0 for the first after the baseline."""
    contrast: Contrast | None
    """None: not comparable."""
    p: float | None
    """Adjusted; None: no estimate."""

    @property
    def baseline(self) -> Side:
        return self.on.matchup.sides[0]

    @property
    def side(self) -> Side:
        return self.on.matchup.sides[self.index + 1]


def judged(
    asked: Sequence[MetricMatchup], floors: Floors, axis: str, same_within: float
) -> tuple[list[Group], int]:
    """Verdicts, with p adjusted (Holm) over all that is printed together, and how many that is."""
    every = [each.contrasts(floors) for each in asked]
    tested = [c.estimate.p for cs in every for c in cs if c is not None and c.estimate is not None]
    adjusted = iter(estimates.holm(tested))
    works = [(each.matchup, each.metric) for each in asked]
    question = _Question(axis=axis, same_within=same_within, family=len(tested))
    groups = []
    for each, contrasts, control in zip(
        asked, every, controls(works, floors, axis, same_within), strict=True
    ):
        lines = [each.shown(0)]
        for index, found in enumerate(contrasts):
            p = next(adjusted) if found is not None and found.estimate is not None else None
            lines.append(_line(_Pair(on=each, index=index, contrast=found, p=p), question))
        groups.append(_group(each, lines, control))
    return groups, len(tested)


def _line(pair: _Pair, question: _Question) -> Line:
    line, listed = pair.on.shown(pair.index + 1), pair.on.differing[pair.index].listed
    found = pair.contrast
    if found is None:
        reasons = (*(pair.on.why_none(pair.index) or ()), *line.reasons, *listed)
        return replace(line, verdict="not comparable", reasons=reasons)
    line = replace(line, design=found.design, unpaired=found.unpaired, noise_floor=found.floor)
    if found.estimate is None:
        ratio = (line.value or 0.0) / (pair.on.shown(0).value or 1.0)
        reasons = (found.why, *line.reasons, *listed)
        return replace(line, verdict="not resolved", too_few=True, ratio=ratio, reasons=reasons)
    return _verdict_line(pair, found, found.estimate, line, question)


def _verdict_line(
    pair: _Pair, found: Contrast, estimate: Estimate, line: Line, question: _Question
) -> Line:
    could_see = estimates.detectable(estimate.error, estimate.df, question.family)
    seen = replace(estimate, could_see=could_see)
    metric, listed = pair.on.metric, pair.on.differing[pair.index].listed
    said = verdict(seen, higher=metric.higher, p_adjusted=pair.p, same_within=question.same_within)
    why_not = _resolution(pair, found, seen, question) if said.word == "not resolved" else None
    cause = probable_cause(pair.baseline, pair.side, said.word, question.axis)
    told = (_reason(said, why_not), f"probably: {cause}" if cause else "", *_beside(found))
    return replace(
        line,
        estimate=seen,
        ratio=seen.ratio,
        p_adjusted=pair.p,
        verdict=said.word,
        cause=cause,
        resolution=why_not,
        explanation=explanation(pair.baseline, pair.side, metric, seen, said.word, question.axis),
        reasons=(*filter(None, told), *line.reasons, *listed),
    )


def _resolution(
    pair: _Pair, found: Contrast, seen: Estimate, question: _Question
) -> Resolution | None:
    machines = len(pair.baseline.machines), len(pair.side.machines)
    return resolution(
        seen,
        found.design,
        family=question.family,
        same_within=question.same_within,
        machines=machines,
    )


def _reason(said: Verdict, why_not: Resolution | None) -> str:
    return said.reason if why_not is None else f"{said.reason}: {why_not.words}"


def _beside(found: Contrast) -> Iterator[str]:
    """What else the reader must know of how the error was found."""
    if found.estimate is not None and found.estimate.floored and found.floor is not None:
        yield f"noise floor {show_percent(found.floor)}"
    if found.unpaired:
        yield f"{show_count(found.unpaired, 'trial')} left unpaired"


def _group(each: MetricMatchup, lines: Sequence[Line], control: tuple[Control, ...]) -> Group:
    matchup = each.matchup
    return Group(
        metric=each.metric.name,
        unit=each.metric.unit,
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
