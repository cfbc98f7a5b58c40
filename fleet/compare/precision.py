"""Tells the stop rule how closely each contrast and each cell of an experiment is known so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fleet.comparability import AxisRules, check_axis
from fleet.compare.choosing import choose
from fleet.compare.designs import Floors, estimate_pair, floor_of
from fleet.compare.matching import SideCell
from fleet.compare.matchups import Matchup, is_across, matchups
from fleet.compare.noise import noise_floors
from fleet.compare.request import ComparisonRequest
from fleet.compare.side_names import is_called, side_names
from fleet.compare.sides import Side
from fleet.metrics.compared import COMPARED
from fleet.metrics.metric import Metric
from fleet.plan.plans import Cell
from fleet.query.open_store import Connection
from fleet.query.variant import Variant
from fleet.query.variants import read_variants
from fleet.stats import ratios

RATES = (COMPARED["prefill"], COMPARED["decode"])
TIMES = (COMPARED["ttft"], COMPARED["load"])


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
    request: ComparisonRequest,
    *,
    floors: Callable[[Connection], Floors] = noise_floors,
) -> Mapping[frozenset[Cell], float]:
    """Return the widest relative half-width over points and metrics, by baseline and side.

    A cell that stands against nobody has a key of its own; one without any value has none.
    """
    every = precisions(con, request, floors=floors)
    return {each.cells: each.half_width for each in every}


def precisions(
    con: Connection,
    request: ComparisonRequest,
    *,
    floors: Callable[[Connection], Floors] = noise_floors,
) -> list[Precision]:
    """Tell the precision of each pair of baseline and side, and of each cell that stands alone.

    Of several machines a side only the spread between trials counts: more of them narrow no
    other. A time is looked at only where the work is too short for any rate.
    """
    axis = check_axis(request.axis)
    every = read_variants(con, axis, (*RATES, *TIMES), request.where, request.experiment)
    variants = [variant for variant in every if not variant.silent]
    matched = matchups(
        variants,
        AxisRules(axis),
        side_names(axis, variants, pool=False),
        across=is_across(axis, variants),
    )
    known = floors(con)
    alone = [each.variant for each in matched.left_out if not each.apart]
    widest: dict[frozenset[Cell], Precision] = {}
    for each in (
        *(p for matchup in matched.matchups for p in _of_pairs(matchup, request, known)),
        *_of_cells(alone, AxisRules(axis), known),
    ):
        if each.cells not in widest or each.half_width > widest[each.cells].half_width:
            widest[each.cells] = each
    return list(widest.values())


def _of_pairs(matchup: Matchup, request: ComparisonRequest, floors: Floors) -> Iterator[Precision]:
    first = next((s for s in matchup.sides if _is_baseline(s, request)), matchup.sides[0])
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


def _of_cells(alone: Iterable[Variant], rules: AxisRules, floors: Floors) -> Iterator[Precision]:
    """Look at each point of each cell by itself; one without a value does not count."""
    points: dict[tuple[Cell, str], list[Variant]] = {}
    for variant in alone:
        points.setdefault((_cell(variant), variant.text("point") or ""), []).append(variant)
    for (cell, _), variants in points.items():
        [side], _ = choose([SideCell("", (), tuple(variants))], rules)
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
    """Return the metric that is known least closely; none where no side has a value of any."""
    for metrics in (RATES, TIMES):
        known = [m for m in metrics if any(side.values(m) for side in sides)]
        if known:
            return max(((m.name, width(m)) for m in known), key=lambda each: each[1])
    return "", math.inf


def _of_ratio(first: Side, side: Side, floors: Floors, metric: Metric) -> float:
    judged = metric.after_heat() if first.throttled or side.throttled else metric
    estimate = estimate_pair(first, side, judged, floors=floors, of_kinds=False).estimate
    return math.inf if estimate is None else estimate.half_width


def _of_median(side: Side, floors: Floors, metric: Metric) -> float:
    judged = metric.after_heat() if side.throttled else metric
    values = [value for _, _, value in side.values(judged)]
    return ratios.half_width(values, floor=floor_of(floors, side, metric))


def _is_baseline(side: Side, request: ComparisonRequest) -> bool:
    name = request.baseline
    return name is not None and any(is_called(v, request.axis, name) for v in side.variants)


def _cells(side: Side) -> set[Cell]:
    return {_cell(variant) for variant in side.variants}


def _cell(variant: Variant) -> Cell:
    return (
        variant.text("machine_id") or "",
        variant.text("model") or "",
        variant.text("job") or "",
        variant.text("settings") or "",
    )
