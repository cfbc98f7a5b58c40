"""fleet compare: absolute medians, ratios, verdicts, and what else differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import duckdb

from fleet.compare import estimates
from fleet.compare.axes import Metric, check_fact, check_metric
from fleet.compare.causes import probable_cause
from fleet.compare.closing import closing_lines, kept_apart, left_out, nothing, speaks_of
from fleet.compare.controls import Control, controls
from fleet.compare.designs import Contrast, Floors, contrast, no_floors
from fleet.compare.differences import Differences, differences
from fleet.compare.estimates import SAME_WITHIN
from fleet.compare.explanations import explanation
from fleet.compare.naming import check_apart, is_called, of_sides, side_names
from fleet.compare.outcome import Comparison, Group, Line
from fleet.compare.reader import has, rows
from fleet.compare.sides import Bout, Side, bouts, is_across
from fleet.compare.variants import TOO_SHORT, Variant, read_variants
from fleet.compare.verdict import show_percent, verdict
from fleet.compare.views import question
from fleet.errors import OutOfMemory
from fleet.model.likeness import ENERGY_SCOPE, HARDWARE_AXES
from fleet.units import show_count

QUICK = "quick"
"""The flag of what was measured for a first glance."""
A_QUICK_LOOK = "a quick look, no measurement: submit it without --quick"


def compare(
    con: duckdb.DuckDBPyConnection,
    *,
    by: str,
    sides: Sequence[str] = (),
    where: str = "",
    experiment: str | None = None,
    metrics: Sequence[str] = ("prefill", "decode"),
    baseline: str | None = None,
    allow_diff: Sequence[str] = (),
    pool: bool = False,
    same_within: float = SAME_WITHIN,
    floors: Callable[[duckdb.DuckDBPyConnection], Floors] = no_floors,
) -> Comparison:
    """Every side against the baseline, on every piece of work that two of them did.

    `floors` tells what is known of each machine's noise; no verdict rests on a spread below it.
    Raises UnknownName for an axis, side, metric, column or fact nobody has; UserError where
    there is nothing to compare; StoreUnusable.
    """
    wanted = [check_metric(metric) for metric in metrics]
    freed = frozenset(check_fact(fact) for fact in allow_diff)
    found, rounds, across = list[Bout](), list[_Round](), False
    for of_energy in (False, True):
        own = [metric for metric in wanted if metric.of_energy == of_energy]
        if not own:
            continue
        variants = read_variants(con, by, own, where, experiment)
        bouts_of, across = _bouts(variants, by, sides, baseline, pool=pool, freed=freed)
        asked = (_round(bout, metric, by, freed) for bout in bouts_of for metric in own)
        rounds += [each for each in asked if each is not None]
        found += bouts_of
    judged = list(_judged(rounds, floors(con), by, same_within))
    groups = [group for group, _ in judged]
    return Comparison(
        by=by,
        groups=tuple(groups),
        speaks_of=speaks_of(groups, across),
        family=max((family for _, family in judged), default=0),
        same_within=same_within,
        footer=(*closing_lines(groups, across), *_did_not_fit(con, by, experiment)),
        refused=tuple(dict.fromkeys(fact for each in rounds for fact in each.refused())),
        kept_apart=kept_apart(found),
        requests_left_out=left_out(found),
    )


def _bouts(
    variants: Sequence[Variant],
    by: str,
    sides: Sequence[str],
    baseline: str | None,
    *,
    pool: bool,
    freed: frozenset[str],
) -> tuple[list[Bout], bool]:
    """All that two sides or more take part in, and whether these are different machines."""
    named = [*sides, *([baseline] if baseline else [])]
    of_sides(variants, by, named)
    check_apart(by, named, variants)
    variants = of_sides(variants, by, named if sides else ())
    across = is_across(by, variants)
    name = side_names(by, variants, pool, named)
    every = bouts(variants, by, name, across=across, freed=freed)
    first = baseline or next(iter(sides), None)
    found = [_baseline_first(bout, first, by) for bout in every if len(bout.sides) > 1]
    if not found:
        raise nothing(by, variants, name)
    return found, across


def _did_not_fit(
    con: duckdb.DuckDBPyConnection, axis: str, experiment: str | None
) -> Iterator[str]:
    """Of two machines: the models that have no speed on one, because they are too large for it."""
    if axis not in HARDWARE_AXES or not has(con, "reason", OutOfMemory.reason):
        return
    for row in rows(con, question("did_not_fit"), [experiment]):
        ended = show_count(int(str(row["trials"])), "trial")
        yield f"{row['model']} does not fit {row['machine']}: {ended} ended out of memory"


def _baseline_first(bout: Bout, baseline: str | None, axis: str) -> Bout:
    if baseline is None:
        return bout
    ahead = [s for s in bout.sides if any(is_called(v, axis, baseline) for v in s.variants)]
    rest = [side for side in bout.sides if side not in ahead]
    return replace(bout, sides=(*ahead, *rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One bout on one metric."""

    bout: Bout
    metric: Metric
    lines: tuple[Line, ...]
    differing: tuple[Differences, ...]
    """Of each side after the baseline."""

    @property
    def sustained(self) -> bool:
        able = self.metric.sustained is not None
        return able and any(side.throttled for side in self.bout.sides)

    def refused(self) -> list[str]:
        return [fact for each in self.differing for fact in sorted(each.facts)]

    def why_none(self, index: int) -> tuple[str, ...] | None:
        """Why side `index` (0: the first after the baseline) is not comparable; None: it is."""
        baseline, line = self.lines[0], self.lines[index + 1]
        if any(self.bout.sides[at].has(QUICK) for at in (0, index + 1)):
            return (A_QUICK_LOOK,)
        if self.differing[index].refused:
            return self.differing[index].refused
        if line.naive or baseline.naive or line.value is None or baseline.value is None:
            return () if line.reasons else baseline.reasons or ("no value on one side",)
        return None

    def contrasts(self, floors: Floors) -> list[Contrast | None]:
        """Of each side after the baseline; None: not comparable."""
        baseline, sustained = self.bout.sides[0], self.sustained
        return [
            contrast(baseline, side, self.metric, floors=floors, sustained=sustained)
            if self.why_none(index) is None
            else None
            for index, side in enumerate(self.bout.sides[1:])
        ]


def _round(bout: Bout, metric: Metric, axis: str, freed: frozenset[str]) -> _Round | None:
    """None where no side can have this metric: its work is too short for a rate."""
    if all(_too_short(side, metric) for side in bout.sides):
        return None
    baseline = bout.sides[0]
    return _Round(
        bout=bout,
        metric=metric,
        lines=tuple(_line(side, metric) for side in bout.sides),
        differing=tuple(
            differences(baseline, side, metric, axis, freed) for side in bout.sides[1:]
        ),
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
        scope=side.told(ENERGY_SCOPE),
        source=side.told("energy_source"),
    )


def _without_energy(side: Side, metric: Metric) -> list[str]:
    """Why some trials have no value: `energy not valid: gap (1 of 5 trials)`."""
    notes = [note for v in side.variants for note in v.listed(metric.note or "") if note]
    of_all = f"of {show_count(side.trials, 'trial')}"
    return [f"{note} ({count} {of_all})" for note, count in sorted(Counter(notes).items())]


def _heat(side: Side, column: str | None, metric: Metric) -> float | None:
    """Median of a speed before or after heat has set in; None where no trial throttled."""
    value = side.middle(column) if side.throttled else None
    return None if value is None else value * metric.scale


def _judged(
    rounds: Sequence[_Round], floors: Floors, axis: str, same_within: float
) -> Iterator[tuple[Group, int]]:
    """Verdicts, with p adjusted (Holm) over all that is printed together, and how many that is."""
    every = [each.contrasts(floors) for each in rounds]
    works = [(each.bout, each.metric) for each in rounds]
    checked = controls(works, floors, axis, same_within)
    tested = [c.estimate.p for cs in every for c in cs if c is not None and c.estimate is not None]
    adjusted = iter(estimates.holm(tested))
    for each, contrasts, control in zip(rounds, every, checked, strict=True):
        lines = [_sustained(each, 0)]
        for index, found in enumerate(contrasts):
            p = next(adjusted) if found is not None and found.estimate is not None else None
            lines.append(_judged_line(each, index, found, p, len(tested), axis, same_within))
        yield _group(each, lines, control), len(tested)


def _sustained(each: _Round, index: int) -> Line:
    """The line as the verdict sees it: of a round where a trial throttled, after the heat."""
    line, side = each.lines[index], each.bout.sides[index]
    if not each.sustained or line.naive or line.value is None:
        return line
    values = [value for _, _, value in side.values(each.metric, sustained=True)]
    return replace(line, value=median(values) * each.metric.scale)


def _judged_line(
    each: _Round,
    index: int,
    found: Contrast | None,
    p: float | None,
    family: int,
    axis: str,
    same_within: float,
) -> Line:
    line, listed = _sustained(each, index + 1), each.differing[index].listed
    if found is None:
        reasons = (*(each.why_none(index) or ()), *line.reasons, *listed)
        return replace(line, verdict="not comparable", reasons=reasons)
    line = replace(line, design=found.design, unpaired=found.unpaired, noise_floor=found.floor)
    if found.estimate is None:
        ratio = (line.value or 0.0) / (_sustained(each, 0).value or 1.0)
        reasons = (found.why, *line.reasons, *listed)
        return replace(line, verdict="not resolved", too_few=True, ratio=ratio, reasons=reasons)
    seen = replace(
        found.estimate,
        could_see=estimates.detectable(found.estimate.error, found.estimate.df, family),
    )
    said = verdict(
        seen,
        higher=each.metric.higher,
        p_adjusted=p,
        same_within=same_within,
    )
    sides = each.bout.sides
    cause = probable_cause(sides[0], sides[index + 1], said.word, axis)
    said_so = filter(None, (said.reason, f"probably: {cause}" if cause else "", *_beside(found)))
    return replace(
        line,
        estimate=seen,
        ratio=seen.ratio,
        p_adjusted=p,
        verdict=said.word,
        cause=cause,
        explanation=explanation(sides[0], sides[index + 1], each.metric, seen, said.word, axis),
        reasons=(*said_so, *line.reasons, *listed),
    )


def _beside(found: Contrast) -> Iterator[str]:
    """What else the reader must know of how the error was found."""
    if found.estimate is not None and found.estimate.floored and found.floor is not None:
        yield f"noise floor {show_percent(found.floor)}"
    if found.unpaired:
        yield f"{show_count(found.unpaired, 'trial')} left unpaired"


def _group(each: _Round, lines: Sequence[Line], control: tuple[Control, ...]) -> Group:
    bout = each.bout
    return Group(
        metric=each.metric.name,
        unit=each.metric.unit,
        model=bout.model,
        job=bout.job,
        point=bout.point,
        machine=bout.machine,
        settings=bout.settings,
        scope=bout.scope,
        sustained=each.sustained,
        controls=control,
        lines=tuple(lines),
    )
