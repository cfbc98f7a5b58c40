"""Where a search for a step ended, as text and as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fleet.compare.search_report import SearchReport
from fleet.metrics.compared import check_metric
from fleet.report.tables import aligned
from fleet.stats.bisection import LEAST, MOST_WRONG, Conclusion, Judgement
from fleet.stats.ratios import Estimate
from fleet.stats.verdict import OPPOSITE, show_percent

TITLES = ("versions", "last against first", "95 % interval", "n", "the middle is")
SURE = f"at most {100 * MOST_WRONG:.0f} of 100 such searches end at a wrong pair"
OTHERS = (
    "this is not the whole difference between the first version and the last: there are others, "
    "which a search between other versions finds"
)


def search_lines(report: SearchReport) -> list[str]:
    """Return a row for each look, then the conclusion in sentences."""
    conclusion = report.bisection.conclusion
    points = ", ".join(report.points)
    return [
        f"{report.model}, {points}, {report.metric}, on {report.machine}",
        *aligned(TITLES, [_cells(each) for each in report.bisection.judgements], right=("n",)),
        *(_sentences(report, conclusion) if conclusion else ()),
    ]


def search_data(report: SearchReport) -> dict[str, Any]:
    """Return the report for --json; ratios, not per cent."""
    conclusion = report.bisection.conclusion
    return {
        "model": report.model,
        "machine": report.machine,
        "metric": report.metric,
        "points": list(report.points),
        "looks": [_look_data(each) for each in report.bisection.judgements],
        "conclusion": asdict(conclusion) if conclusion else None,
        "most_wrong": MOST_WRONG,
        "versions": {label: each.version for label, each in report.programs.items()},
        "flags": list(report.flags),
        "experiments": list(report.experiments),
    }


def _look_data(judgement: Judgement) -> dict[str, Any]:
    data = asdict(judgement)
    return {**data.pop("step"), **data}


def _cells(judgement: Judgement) -> tuple[str, ...]:
    ends = judgement.ends
    like = {"first": "as the first", "last": "as the last", None: "not resolved"}
    middle = like[judgement.like] if judgement.halves else ""
    versions = " ".join(judgement.step.versions)
    return versions, f"{ends.ratio:.3f} x", _interval(ends), str(ends.n_a), middle


def _sentences(report: SearchReport, conclusion: Conclusion) -> Iterator[str]:
    ends = conclusion.ends
    after, at = (_named(report, label) for label in (conclusion.after, conclusion.at))
    if conclusion.ending == "step":
        higher = check_metric(report.metric).higher
        word = higher if ends.ratio > 1 else OPPOSITE[higher]
        yield f"{word} from {at} on: {ends.ratio:.3f} x of {after}, {_interval(ends)}"
        yield SURE
    elif conclusion.ending == "no step":
        share = show_percent(LEAST)
        yield f"{after} and {at} differ by no more than {share}: {ends.ratio:.3f} x"
        yield "what lies between them was not measured"
    else:
        yield f"not resolved: {after} to {at} is {ends.ratio:.3f} x, {_interval(ends)}"
        yield f"a difference of {show_percent(ends.could_see)} could be seen; more: --repeats"
    if conclusion.others:
        yield OTHERS
    if report.flags:
        yield f"some trials bear flags: {' '.join(report.flags)}"


def _named(report: SearchReport, label: str) -> str:
    return f"{label} ({report.programs[label].version})"


def _interval(estimate: Estimate) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}"
