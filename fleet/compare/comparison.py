"""fleet compare: absolute medians, ratios, verdicts, what else differs, and what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fleet.comparability import HARDWARE_AXES, check_fact
from fleet.compare.designs import Floors, no_floors
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
from fleet.compare.result import Comparison
from fleet.compare.side_names import check_apart, is_called, of_sides, side_names
from fleet.errors import OutOfMemory
from fleet.metrics.compared import Metric, check_metric
from fleet.query.open_store import Connection, has, rows
from fleet.query.variants import Variant, read_failed, read_variants
from fleet.query.views import question
from fleet.stats.ratios import SAME_WITHIN
from fleet.units import show_count


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What was read for the metrics of one kind, speeds or energies, and what became of it."""

    cells: CellCount
    across: bool
    asked: tuple[MetricMatchup, ...]
    compared: tuple[Variant, ...]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Which sides the user wants, and what may differ between them."""

    by: str
    named: tuple[str, ...]
    baseline: str | None
    pool: bool
    freed: frozenset[str]

    @property
    def names(self) -> list[str]:
        return [*self.named, *([self.baseline] if self.baseline else [])]

    @property
    def first(self) -> str | None:
        """The side to compare with."""
        return self.baseline or next(iter(self.named), None)

    def of(self, variants: Sequence[Variant]) -> list[Variant]:
        """Those of the sides that are named; of all where none is."""
        of_sides(variants, self.by, self.names)
        check_apart(self.by, self.names, variants)
        return of_sides(variants, self.by, self.names if self.named else ())


def compare(
    con: Connection,
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
    floors: Callable[[Connection], Floors] = no_floors,
) -> Comparison:
    """Every side against the baseline, on every piece of work that two of them did.

    `floors` tells what is known of each machine's noise; no verdict rests on a spread below it.
    Raises UnknownName for an axis, side, metric, column or fact nobody has; UserError where
    there is nothing to compare; StoreUnusable.
    """
    wanted = [check_metric(metric) for metric in metrics]
    chosen = _Sides(
        by=by,
        named=tuple(sides),
        baseline=baseline,
        pool=pool,
        freed=frozenset(check_fact(fact) for fact in allow_diff),
    )
    of_speed = [metric for metric in wanted if not metric.of_energy]
    of_energy = [metric for metric in wanted if metric.of_energy]
    read = [
        _read(read_variants(con, by, own, where, experiment), own, chosen)
        for own in (of_speed, of_energy)
        if own
    ]
    groups, family = judged([m for each in read for m in each.asked], floors(con), by, same_within)
    across = read[-1].across
    failed = [] if sides else read_failed(con, where, experiment)
    return Comparison(
        by=by,
        groups=tuple(groups),
        speaks_of=speaks_of(groups, across),
        family=family,
        same_within=same_within,
        footer=(*closing_lines(groups, across), *_did_not_fit(con, by, experiment)),
        refused=tuple(
            dict.fromkeys(fact for each in read for m in each.asked for fact in m.refused())
        ),
        kept_apart=kept_apart(left for each in read for left in each.left_out),
        requests_left_out=requests_left_out(_valid_and_silent(read)),
        cells=tuple(each.cells for each in read),
        left_out=(*_cells_left_out(read), *map(failed_cell, failed)),
    )


def _read(variants: Sequence[Variant], metrics: Sequence[Metric], chosen: _Sides) -> _Read:
    """Raises UnknownName for a side that nobody is called; UserError where no two are matched."""
    by, wanted = chosen.by, chosen.of([v for v in variants if not v.silent])
    name = side_names(by, wanted, chosen.pool, chosen.names)
    across = is_across(by, wanted)
    matched = matchups(wanted, by, name, across=across, freed=chosen.freed)
    if not matched.matchups:
        raise nothing(by, wanted, name, matched.left_out)
    ordered = [_baseline_first(matchup, chosen.first, by) for matchup in matched.matchups]
    asked = [(m, [on_metric(m, metric, by, chosen.freed) for metric in metrics]) for m in ordered]
    left_out = (
        *matched.left_out,
        *_too_short(matchup for matchup, found in asked if not any(found)),
        *_passed_over(variants, wanted, name),
    )
    compared = [v for matchup, found in asked if any(found) for v in matchup.variants()]
    return _Read(
        cells=counted("energy" if metrics[0].of_energy else "speeds", variants, compared, left_out),
        across=across,
        asked=tuple(each for _, found in asked for each in found if each is not None),
        compared=tuple(compared),
        left_out=left_out,
    )


def _too_short(found: Iterable[Matchup]) -> Iterator[LeftOut]:
    for matchup in found:
        for side in matchup.sides:
            for variant in side.variants:
                yield LeftOut(side=side.name, variant=variant, reason=TOO_SHORT)


def _passed_over(
    variants: Sequence[Variant], wanted: Sequence[Variant], name: Callable[[Variant], str]
) -> Iterator[LeftOut]:
    """What has no valid request, and what the user did not name."""
    kept = set(map(id, wanted))
    for variant in variants:
        if id(variant) not in kept:
            reason = NO_REQUEST if variant.silent else NOT_NAMED
            yield LeftOut(side=name(variant), variant=variant, reason=reason)


def _valid_and_silent(read: Sequence[_Read]) -> Iterator[Variant]:
    """What is compared, and what would be if a request of it were valid."""
    for each in read:
        yield from each.compared
        yield from (left.variant for left in each.left_out if left.variant.silent)


def _cells_left_out(read: Sequence[_Read]) -> list[CellLeftOut]:
    """Each once: one cell may be left out of the comparison of speeds and of those of energies."""
    every = (left for each in read for left in each.left_out)
    found = {(left.side, left.reason, left.variant.identity): left for left in every}
    return [cell_of(left) for left in found.values()]


def _did_not_fit(con: Connection, axis: str, experiment: str | None) -> Iterator[str]:
    """Of two machines: the models that have no speed on one, because they are too large for it."""
    if axis not in HARDWARE_AXES or not has(con, "reason", OutOfMemory.reason):
        return
    for row in rows(con, question("did_not_fit"), [experiment]):
        ended = show_count(int(str(row["trials"])), "trial")
        yield f"{row['model']} does not fit {row['machine']}: {ended} ended out of memory"


def _baseline_first(matchup: Matchup, baseline: str | None, axis: str) -> Matchup:
    if baseline is None:
        return matchup
    ahead = [s for s in matchup.sides if any(is_called(v, axis, baseline) for v in s.variants)]
    rest = [side for side in matchup.sides if side not in ahead]
    return replace(matchup, sides=(*ahead, *rest))
