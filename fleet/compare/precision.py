"""How closely each contrast and each cell of an experiment is known so far: for the stop rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fleet.comparability import check_axis
from fleet.compare.choosing import choose
from fleet.compare.designs import Floors, contrast, floor_of, no_floors
from fleet.compare.matching import Cell as MatchedCell
from fleet.compare.matchups import Matchup, is_across, matchups
from fleet.compare.side_names import is_called, side_names
from fleet.compare.sides import Side
from fleet.metrics.compared import METRICS, Metric
from fleet.query.open_store import Connection
from fleet.query.variants import Variant, read_variants
from fleet.stats import ratios as estimates

Cell = tuple[str, str, str, str]
"""machine_id, model, job, settings: as `Trial.cell()` gives it."""

RATES = (METRICS["prefill"], METRICS["decode"])
TIMES = (METRICS["ttft"], METRICS["load"])

NO_CONTRAST = "machine"
"""The axis to read by where nothing varies: then each cell stands alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """How closely the ratio of two sides is known, or the median of a cell that stands alone."""

    cells: frozenset[Cell]
    half_width: float
    """Relative, of the 95 % interval: the widest over points and metrics. Infinite below two
    trials."""
    metric: str
    sides: tuple[str, ...]
    """Baseline and side; of a cell that stands alone none."""
    machine: str | None
    """None where the sides are different machines."""
    model: str | None
    job: str
    settings: str


def widths(
    con: Connection,
    experiment: str,
    session: int,
    by: str,
    baseline: str | None = None,
    floors: Callable[[Connection], Floors] = no_floors,
) -> Mapping[frozenset[Cell], float]:
    """Widest relative half-width over points and metrics, per pair of baseline and side.

    A cell that stands against nobody has a key of its own; one without any value has none.
    """
    found = precisions(con, experiment, session, by, baseline, floors)
    return {each.cells: each.half_width for each in found}


def precisions(
    con: Connection,
    experiment: str,
    session: int,
    by: str,
    baseline: str | None = None,
    floors: Callable[[Connection], Floors] = no_floors,
) -> list[Precision]:
    """Of each pair of baseline and side, and of each cell that stands against nobody.

    Of several machines a side only the spread between trials counts: more of them narrow no
    other. A time is looked at only where the work is too short for any rate. `by` empty: nothing is
    compared.
    """
    axis = check_axis(by or NO_CONTRAST)
    every = read_variants(con, axis, (*RATES, *TIMES), f"session={session}", experiment)
    variants = [variant for variant in every if not variant.silent]
    matched = matchups(
        variants,
        axis,
        side_names(axis, variants, pool=False),
        across=is_across(axis, variants),
        freed=frozenset(),
    )
    known = floors(con)
    alone = [each.variant for each in matched.left_out if not each.apart]
    found = [
        *(p for matchup in matched.matchups for p in _of_pairs(matchup, axis, baseline, known)),
        *_of_cells(alone, axis, known),
    ]
    widest: dict[frozenset[Cell], Precision] = {}
    for each in found:
        if each.cells not in widest or each.half_width > widest[each.cells].half_width:
            widest[each.cells] = each
    return list(widest.values())


def _of_pairs(
    matchup: Matchup, axis: str, baseline: str | None, floors: Floors
) -> Iterator[Precision]:
    first = next((s for s in matchup.sides if _is_called(s, axis, baseline)), matchup.sides[0])
    for side in matchup.sides:
        if side is not first:
            metric, width = _widest(partial(_of_ratio, first, side, floors), (first, side))
            yield Precision(
                cells=frozenset(_cells(first) | _cells(side)),
                half_width=width,
                metric=metric,
                sides=(first.name, side.name),
                machine=matchup.machine,
                model=matchup.model,
                job=matchup.job,
                settings=matchup.settings,
            )


def _of_cells(alone: Iterable[Variant], axis: str, floors: Floors) -> Iterator[Precision]:
    """Each point of each cell by itself; the widest counts, and one without a value does not."""
    points: dict[tuple[Cell, str], list[Variant]] = {}
    for variant in alone:
        points.setdefault((_cell(variant), variant.text("point") or ""), []).append(variant)
    for (cell, _), variants in points.items():
        [side], _ = choose([MatchedCell("", (), tuple(variants))], axis, frozenset())
        metric, width = _widest(partial(_of_median, side, floors), (side,))
        if metric:
            yield Precision(
                cells=frozenset([cell]),
                half_width=width,
                metric=metric,
                sides=(),
                machine=variants[0].text("machine"),
                model=cell[1],
                job=cell[2],
                settings=cell[3],
            )


def _widest(width: Callable[[Metric], float], sides: Sequence[Side]) -> tuple[str, float]:
    """The metric that is known least closely; none where no side has a value of any."""
    for metrics in (RATES, TIMES):
        known = [m for m in metrics if any(side.values(m) for side in sides)]
        if known:
            return max(((m.name, width(m)) for m in known), key=lambda each: each[1])
    return "", math.inf


def _of_ratio(first: Side, side: Side, floors: Floors, metric: Metric) -> float:
    sustained = first.throttled + side.throttled > 0
    found = contrast(first, side, metric, floors=floors, sustained=sustained, of_kinds=False)
    return math.inf if found.estimate is None else found.estimate.half_width


def _of_median(side: Side, floors: Floors, metric: Metric) -> float:
    values = [value for _, _, value in side.values(metric, sustained=side.throttled > 0)]
    return estimates.half_width(values, floor=floor_of(floors, side, metric))


def _is_called(side: Side, axis: str, name: str | None) -> bool:
    return name is not None and any(is_called(v, axis, name) for v in side.variants)


def _cells(side: Side) -> set[Cell]:
    return {_cell(variant) for variant in side.variants}


def _cell(variant: Variant) -> Cell:
    return (
        variant.text("machine_id") or "",
        variant.text("model") or "",
        variant.text("job") or "",
        variant.text("settings") or "",
    )
