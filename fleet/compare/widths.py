"""How closely each contrast of an experiment is known so far: what the stop rule asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import duckdb

from fleet.compare import estimates
from fleet.compare.axes import METRICS, Metric, check_axis
from fleet.compare.designs import Floors, contrast, no_floors
from fleet.compare.naming import is_called, side_names
from fleet.compare.sides import Bout, Side, bouts, is_across
from fleet.compare.variants import read_variants

Cell = tuple[str, str, str, str]
"""machine_id, model, job, settings: as `Trial.cell()` gives it."""

RATES = (METRICS["prefill"], METRICS["decode"])
TIMES = (METRICS["ttft"], METRICS["load"])


def widths(
    con: duckdb.DuckDBPyConnection,
    experiment: str,
    session: int,
    by: str,
    baseline: str | None = None,
    floors: Callable[[duckdb.DuckDBPyConnection], Floors] = no_floors,
) -> Mapping[frozenset[Cell], float]:
    """Widest relative half-width over points and metrics, per pair of baseline and side.

    A cell that stands against nobody has a key of its own. Infinite below two trials. Of several
    machines a side only the spread between trials counts: more of them narrow no other. A time is
    looked at only where the work is too short for any rate.
    """
    axis = check_axis(by)
    variants = read_variants(con, axis, (*RATES, *TIMES), f"session={session}", experiment)
    found = bouts(
        variants,
        axis,
        side_names(axis, variants, pool=False),
        across=is_across(axis, variants),
        freed=frozenset(),
    )
    widest: dict[frozenset[Cell], float] = {}
    known = floors(con)
    for bout in found:
        for sides in _contrasts(bout, axis, baseline):
            key = frozenset(cell for side in sides for cell in _cells(side))
            widest[key] = max(widest.get(key, 0.0), _width(sides, known))
    return widest


def _contrasts(bout: Bout, axis: str, baseline: str | None) -> list[Sequence[Side]]:
    if len(bout.sides) == 1:
        return [bout.sides]
    first = next((s for s in bout.sides if _is_called(s, axis, baseline)), bout.sides[0])
    return [(first, side) for side in bout.sides if side is not first]


def _is_called(side: Side, axis: str, name: str | None) -> bool:
    return name is not None and any(is_called(v, axis, name) for v in side.variants)


def _cells(side: Side) -> set[Cell]:
    return {
        (
            variant.text("machine_id") or "",
            variant.text("model") or "",
            variant.text("job") or "",
            variant.text("settings") or "",
        )
        for variant in side.variants
    }


def _width(sides: Sequence[Side], floors: Floors) -> float:
    for metrics in (RATES, TIMES):
        known = [m for m in metrics if any(side.values(m) for side in sides)]
        if known:
            return max(_half_width(sides, metric, floors) for metric in known)
    return math.inf


def _half_width(sides: Sequence[Side], metric: Metric, floors: Floors) -> float:
    if len(sides) == 1:
        return estimates.half_width([value for _, _, value in sides[0].values(metric)])
    sustained = any(side.throttled for side in sides)
    found = contrast(sides[0], sides[1], metric, floors=floors, sustained=sustained, of_kinds=False)
    estimate = found.estimate
    return math.inf if estimate is None else estimate.half_width
