"""fleet compare: absolute medians, ratios, verdicts, and what else differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import duckdb

from fleet.compare import estimates
from fleet.compare.axes import HARDWARE_AXES, Metric, check_axis, check_metric, known, natural
from fleet.compare.differences import differences
from fleet.compare.estimates import Estimate
from fleet.compare.sides import (
    Bout,
    Side,
    Variant,
    bouts,
    is_across,
    is_called,
    read_variants,
    side_names,
)
from fleet.compare.verdict import Word, verdict
from fleet.errors import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One side. The baseline's own line has no ratio and no verdict."""

    side: str
    value: float | None
    """Median over the trials, in the group's unit; None: not known, `reasons` say why."""
    naive: bool = False
    """The value is the rate as `ollama run --verbose` prints it, for want of a better one."""
    trials: int
    machines: int
    flags: str = ""
    ratio: float | None = None
    """To the baseline: the estimate's, or of the medians where there is no estimate."""
    estimate: Estimate | None = None
    p_adjusted: float | None = None
    verdict: Word | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All sides on one piece of work and one metric; the baseline stands first."""

    metric: str
    unit: str
    model: str | None
    job: str
    point: str
    machine: str | None
    settings: str
    lines: tuple[Line, ...]

    @property
    def baseline(self) -> Line:
        return self.lines[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    by: str
    groups: tuple[Group, ...]
    footer: tuple[str, ...]
    """What the whole of it speaks of."""
    kept_apart: Mapping[str, int]
    """Trials with a flag or of another state, by the reason: true, but not pooled."""
    requests_left_out: int


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
) -> Comparison:
    """Every side against the baseline, on every piece of work that two of them did.

    Raises UnknownName for an axis, side, metric or column nobody has; StoreUnusable.
    """
    axis, wanted = check_axis(by), [check_metric(metric) for metric in metrics]
    variants = read_variants(con, axis, wanted, where, experiment)
    name = side_names(axis, variants, pool)
    first = baseline or (sides[0] if sides else None)
    if baseline is not None:
        _of_sides(variants, axis, [baseline])
    variants = _of_sides(variants, axis, [*sides, *([baseline] if baseline and sides else [])])
    freed = frozenset(allow_diff)
    across = is_across(axis, variants)
    found = [
        bout
        for bout in bouts(variants, axis, name, across=across, freed=freed)
        if len(bout.sides) > 1
    ]
    if not found:
        raise UserError(
            _nothing(by, sorted(set(map(name, variants)), key=natural)), _mend(variants)
        )
    ordered = [_baseline_first(bout, first, axis) for bout in found]
    groups = [group for bout in ordered for m in wanted if (group := _group(bout, m, axis, freed))]
    return Comparison(
        by=by,
        groups=tuple(_judged(groups)),
        footer=tuple(_footer(ordered, groups, across)),
        kept_apart=_apart(ordered),
        requests_left_out=sum(
            int(str(v.row["requests_left_out"]))
            for b in ordered
            for s in b.sides
            for v in s.variants
        ),
    )


def _of_sides(variants: Sequence[Variant], axis: str, names: Sequence[str]) -> list[Variant]:
    """Only the sides named; a side may be named by its value, a machine also by its id."""
    there = sorted({v.text("axis_value") or "" for v in variants}, key=natural)
    labels = {v.text("machine") or "" for v in variants} if axis == "machine" else set[str]()
    for name in names:
        if not any(is_called(v, axis, name) for v in variants):
            shown = sorted(labels, key=natural) if axis == "machine" else there
            known(name, shown, axis.replace("_", " "), f"fleet compare --by {axis}")
    return [v for v in variants if not names or any(is_called(v, axis, n) for n in names)]


def _baseline_first(bout: Bout, baseline: str | None, axis: str) -> Bout:
    if baseline is None:
        return bout
    ahead = [s for s in bout.sides if any(is_called(v, axis, baseline) for v in s.variants)]
    rest = [side for side in bout.sides if side not in ahead]
    return replace(bout, sides=(*ahead, *rest))


def estimate_of(baseline: Side, side: Side, metric: Metric) -> Estimate | None:
    """Paired by block on one machine; Welch across machines, or where blocks do not pair."""
    a, b = baseline.values(metric), side.values(metric)
    blocks_a, blocks_b = dict(a), dict(b)
    unique = len(blocks_a) == len(a) and len(blocks_b) == len(b)
    shared = sorted(set(blocks_a) & set(blocks_b))
    one_machine = baseline.machines == side.machines and len(side.machines) == 1
    if one_machine and unique and len(shared) >= 2:
        return estimates.paired([blocks_a[x] for x in shared], [blocks_b[x] for x in shared])
    return estimates.welch([value for _, value in a], [value for _, value in b])


def _group(bout: Bout, metric: Metric, axis: str, freed: frozenset[str]) -> Group | None:
    """None where no side can have this metric: its work is too short for a rate."""
    if all(_too_short(side, metric) for side in bout.sides):
        return None
    baseline = bout.sides[0]
    lines = [_line(side, metric) for side in bout.sides]
    judged = [lines[0]]
    for side, line in zip(bout.sides[1:], lines[1:], strict=True):
        refused, listed = differences(baseline, side, metric, axis, freed)
        judged.append(
            replace(
                line,
                estimate=estimate_of(baseline, side, metric),
                verdict="not comparable" if refused else None,
                reasons=(*refused, *line.reasons, *listed),
            )
        )
    return Group(
        metric=metric.name,
        unit=metric.unit,
        model=bout.model,
        job=bout.job,
        point=bout.point,
        machine=bout.machine,
        settings=bout.settings,
        lines=tuple(judged),
    )


def _too_short(side: Side, metric: Metric) -> bool:
    if side.values(metric):
        return False
    if metric.note is None:
        return True
    return side.notes(metric.note) <= {"too short for a rate", "not reported"}


def _line(side: Side, metric: Metric) -> Line:
    values = [value for _, value in side.values(metric)]
    naive = side.plain(metric.naive) if metric.naive and not values else []
    reasons = [f"flagged {side.flags}"] if side.flags else []
    if not values and metric.note:
        reasons += sorted(side.notes(metric.note))
    shown = values or naive
    return Line(
        side=side.name,
        value=median(shown) * metric.scale if shown else None,
        naive=bool(naive),
        trials=len(shown),
        machines=len(side.machines),
        flags=side.flags,
        reasons=tuple(reasons),
    )


def _judged(groups: Sequence[Group]) -> Iterator[Group]:
    """Verdicts, with p adjusted (Holm) over all that is printed together."""
    tested = [
        line.estimate.p
        for group in groups
        for line in group.lines[1:]
        if line.estimate and line.verdict is None
    ]
    adjusted = iter(estimates.holm(tested))
    for group in groups:
        metric = check_metric(group.metric)
        lines = [group.baseline]
        for line in group.lines[1:]:
            lines.append(_judged_line(line, group.baseline, metric, adjusted))
        yield replace(group, lines=tuple(lines))


def _judged_line(line: Line, baseline: Line, metric: Metric, adjusted: Iterator[float]) -> Line:
    if line.verdict is not None:
        return replace(line, estimate=None)
    if line.naive or baseline.naive or line.value is None or baseline.value is None:
        why = () if line.reasons else baseline.reasons or ("no value on one side",)
        return replace(line, verdict="not comparable", estimate=None, reasons=(*line.reasons, *why))
    p = next(adjusted) if line.estimate else None
    said = verdict(
        line.estimate,
        higher_is_faster=metric.higher_is_faster,
        trials=(baseline.trials, line.trials),
        p_adjusted=p,
    )
    reasons = (said.reason, *line.reasons) if said.reason else line.reasons
    ratio = line.estimate.ratio if line.estimate else line.value / baseline.value
    return replace(line, verdict=said.word, ratio=ratio, p_adjusted=p, reasons=reasons)


def _apart(found: Sequence[Bout]) -> dict[str, int]:
    apart = Counter[str]()
    for bout in found:
        for side in bout.sides:
            for reason, trials in side.apart.items():
                apart[f"{side.name} ({reason or 'without a flag'})"] += trials
    return dict(apart)


def _footer(found: Sequence[Bout], groups: Sequence[Group], across: bool) -> Iterator[str]:
    if across and all(len(side.machines) == 1 for bout in found for side in bout.sides):
        counts = sorted({line.trials for group in groups for line in group.lines if line.trials})
        if counts:
            n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            each = "trial" if counts == [1] else "trials"
            yield f"one machine of each kind, {n} {each} each: this speaks of these machines"
    if any(line.machines > 1 for group in groups for line in group.lines):
        yield "a side of several machines is judged by its trials, as if they were of one"


def _nothing(by: str, there: Sequence[str]) -> str:
    if not there:
        return f"nothing to compare by {by}: no measured trial matches"
    if len(there) == 1:
        return f"nothing to compare by {by}: there is only {there[0]}"
    return f"nothing to compare by {by}: no two of {', '.join(there)} did the same work"


def _mend(variants: Sequence[Variant]) -> str:
    varied = [
        axis for axis in ("machine", "model", *sorted(HARDWARE_AXES)) if axis in _seen(variants)
    ]
    return f"fleet compare --by {varied[0]}" if varied else "fleet results"


def _seen(variants: Sequence[Variant]) -> set[str]:
    """Axes that take more than one value here."""
    fields = [field for field in (variants[0].row if variants else {}) if field != "trials"]
    return {
        f
        for f in fields
        if not isinstance(variants[0].row[f], list) and len({v.text(f) for v in variants}) > 1
    }
