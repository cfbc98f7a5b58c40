"""Compares sides: absolute medians, ratios, verdicts, what else differs, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fleet.comparability import HARDWARE_AXES
from fleet.compare.designs import Floors
from fleet.compare.footer import (
    closing_lines,
    kept_apart,
    nothing,
    requests_left_out,
    speaks_of,
)
from fleet.compare.judging import judged
from fleet.compare.left_out import (
    NO_REQUEST,
    NOT_NAMED,
    TOO_SHORT,
    CellCount,
    CellLeftOut,
    LeftOut,
    cell_of,
    counted,
    failed_cell,
)
from fleet.compare.matchups import Matchup, is_across, matchups
from fleet.compare.metric_matchups import MetricMatchup, on_metric
from fleet.compare.noise import noise_floors
from fleet.compare.request import ComparisonRequest
from fleet.compare.result import Comparison
from fleet.compare.side_names import is_called, side_names
from fleet.errors import OutOfMemory
from fleet.metrics.compared import check_metric
from fleet.metrics.metric import Metric
from fleet.query.open_store import Connection, has
from fleet.query.typed import typed_rows
from fleet.query.variant import Variant
from fleet.query.variants import read_failed, read_variants
from fleet.query.views import question
from fleet.units import show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The trials that were read for metrics of one kind, speeds or energies, and their matchups."""

    cells: CellCount
    across: bool
    matchups: tuple[MetricMatchup, ...]
    compared: tuple[Variant, ...]
    left_out: tuple[LeftOut, ...]


def compare(
    con: Connection,
    request: ComparisonRequest,
    *,
    floors: Callable[[Connection], Floors] = noise_floors,
) -> Comparison:
    """Compare every side with the baseline, on every piece of work that two of them did.

    `floors` reads each machine's noise; no verdict rests on a spread below it. Raises UnknownName
    for an axis, side, metric, column or fact nobody has; UserError where there is nothing to
    compare; StoreUnusable.
    """
    metrics = [check_metric(metric) for metric in request.metrics]
    of_speed = [metric for metric in metrics if not metric.of_energy]
    of_energy = [metric for metric in metrics if metric.of_energy]
    parts = [_part(con, own, request) for own in (of_speed, of_energy) if own]
    every = [each for part in parts for each in part.matchups]
    groups, family = judged(every, floors(con), request)
    across = parts[-1].across
    failed = [] if request.sides else read_failed(con, request.where, request.experiment)
    return Comparison(
        axis=request.axis,
        groups=tuple(groups),
        speaks_of=speaks_of(groups, across),
        family=family,
        same_within=request.same_within,
        footer=(*closing_lines(groups, across), *_did_not_fit(con, request)),
        refused=tuple(dict.fromkeys(fact for each in every for fact in each.refused())),
        kept_apart=kept_apart(left for part in parts for left in part.left_out),
        requests_left_out=requests_left_out(_valid_and_silent(parts)),
        cells=tuple(part.cells for part in parts),
        left_out=(*_cells_left_out(parts), *map(failed_cell, failed)),
    )


def _part(con: Connection, metrics: Sequence[Metric], request: ComparisonRequest) -> _Part:
    """Read and match the trials for metrics of one kind.

    Raises UnknownName for a side that nobody is called; UserError where no two are matched.
    """
    axis, rules = request.axis, request.rules
    variants = read_variants(con, axis, metrics, request.where, request.experiment)
    named = request.named([v for v in variants if not v.silent])
    name = side_names(axis, named, request.pool, request.names)
    across = is_across(axis, named)
    matched = matchups(named, rules, name, across=across)
    if not matched.matchups:
        raise nothing(axis, named, name, matched.left_out)
    ordered = [_baseline_first(matchup, request) for matchup in matched.matchups]
    looks = [(m, [on_metric(m, metric, rules) for metric in metrics]) for m in ordered]
    left_out = (
        *matched.left_out,
        *_too_short(matchup for matchup, own in looks if not any(own)),
        *_passed_over(variants, named, name),
    )
    compared = [v for matchup, own in looks if any(own) for v in matchup.variants()]
    return _Part(
        cells=counted("energy" if metrics[0].of_energy else "speeds", variants, compared, left_out),
        across=across,
        matchups=tuple(each for _, own in looks for each in own if each is not None),
        compared=tuple(compared),
        left_out=left_out,
    )


def _too_short(without_a_rate: Iterable[Matchup]) -> Iterator[LeftOut]:
    for matchup in without_a_rate:
        for side in matchup.sides:
            for variant in side.variants:
                yield LeftOut(side=side.name, variant=variant, reason=TOO_SHORT)


def _passed_over(
    variants: Sequence[Variant], named: Sequence[Variant], name: Callable[[Variant], str]
) -> Iterator[LeftOut]:
    """Yield what has no valid request, and what the user did not name."""
    kept = set(map(id, named))
    for variant in variants:
        if id(variant) not in kept:
            reason = NO_REQUEST if variant.silent else NOT_NAMED
            yield LeftOut(side=name(variant), variant=variant, reason=reason)


def _valid_and_silent(parts: Sequence[_Part]) -> Iterator[Variant]:
    """Yield what is compared, and what would be if a request of it were valid."""
    for part in parts:
        yield from part.compared
        yield from (left.variant for left in part.left_out if left.variant.silent)


def _cells_left_out(parts: Sequence[_Part]) -> list[CellLeftOut]:
    """Name each cell once, though both speeds and energies may leave it out."""
    every = (left for part in parts for left in part.left_out)
    own = {(left.side, left.reason, left.variant.identity): left for left in every}
    return [cell_of(left) for left in own.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _DidNotFit:
    machine: str
    model: str
    trials: int


def _did_not_fit(con: Connection, request: ComparisonRequest) -> Iterator[str]:
    """Name the models that have no speed on one machine because they are too large for it."""
    if request.axis not in HARDWARE_AXES or not has(con, "reason", OutOfMemory.reason):
        return
    for each in typed_rows(con, _DidNotFit, question("did_not_fit"), [request.experiment]):
        ended = show_count(each.trials, "trial")
        yield f"{each.model} does not fit {each.machine}: {ended} ended out of memory"


def _baseline_first(matchup: Matchup, request: ComparisonRequest) -> Matchup:
    if request.first is None:
        return matchup
    baseline, axis = request.first, request.axis
    ahead = [s for s in matchup.sides if any(is_called(v, axis, baseline) for v in s.variants)]
    rest = [side for side in matchup.sides if side not in ahead]
    return replace(matchup, sides=(*ahead, *rest))
