"""Which estimate two sides get: decided by how they were measured, never by the values seen.

One machine, blocks in common, measured in turn: pairs. One machine, no block in common: Welch's
test, which a drift of the machine can fool, so it is said. Several machines on each side: the
machine is the unit. Else each machine's own trials, a claim about these very machines.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Protocol

from fleet.compare.sides import Side
from fleet.metrics.compared import Metric
from fleet.query.variants import Block
from fleet.stats import ratios as estimates
from fleet.stats.ratios import Estimate

Design = Literal["paired", "one after the other", "these machines", "kinds of machines"]

LEAST_TRIALS = 2
WORTH_HAVING = 5
"""Trials a side for a verdict worth having: fewer see only large differences."""

NEEDED = (
    f"{LEAST_TRIALS} trials per side at least, {WORTH_HAVING} for a verdict worth having: "
    f"fleet submit EXPERIMENT --repeats {WORTH_HAVING}"
)


class Floor(Protocol):
    """What an A/A run found of one machine and metric: `fleet.compare.noise.NoiseFloor`."""

    @property
    def sd_log(self) -> float:
        """Standard deviation of the logarithms of equal trials."""
        ...

    @property
    def ratio(self) -> float:
        """Of the two sides, with its interval; nothing differs, so it should be 1."""
        ...

    @property
    def ratio_low(self) -> float: ...
    @property
    def ratio_high(self) -> float: ...
    @property
    def p(self) -> float: ...
    @property
    def n(self) -> int: ...
    @property
    def settings(self) -> str: ...


FloorKey = tuple[str, ...]
"""Machine id and metric; of an experiment's own control also what `floor_key` adds."""

Floors = Mapping[FloorKey, Floor]

NO_FLOORS: Floors = {}


def no_floors(_results: object) -> Floors:
    """Nothing is known of any machine's noise."""
    return NO_FLOORS


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One side against the baseline; no estimate: `why` says what is missing."""

    design: Design
    estimate: Estimate | None = None
    unpaired: int = 0
    """Trials of either side whose block has none of the other's."""
    floor: float | None = None
    """The larger noise floor of the two sides, as a share; None: not known."""
    why: str = ""


def contrast(
    baseline: Side,
    side: Side,
    metric: Metric,
    *,
    floors: Floors = NO_FLOORS,
    sustained: bool = False,
    of_kinds: bool = True,
) -> Contrast:
    """One side against the baseline.

    `sustained`: speeds after heat has set in, where a side knows them. `of_kinds` false: even of
    several machines a side only the spread between trials counts, which more trials narrow.
    """
    a, b = baseline.values(metric, sustained), side.values(metric, sustained)
    known = _floors(floors, metric, baseline, side)
    floor = max((sd_log for of_side in known for sd_log in of_side.values()), default=0.0) or None
    one_machine = baseline.machines == side.machines and len(side.machines) == 1
    if one_machine and _in_blocks(baseline, side):
        return _paired(a, b, floor)
    if one_machine:
        pair = (floor or 0.0, floor or 0.0)
        found = estimates.welch([x for _, _, x in a], [x for _, _, x in b], floors=pair)
        return _made("one after the other", found, floor, len(a), len(b))
    return _across(a, b, known, floor, of_kinds)


def _in_blocks(baseline: Side, side: Side) -> bool:
    """The two have blocks in common and were measured in turn; what is imported has no blocks."""
    if baseline.imported or side.imported:
        return False
    return bool(baseline.blocks & side.blocks) and baseline.in_turn_with(side)


Value = tuple[str, Block, float]
"""Machine id, block, value."""


def _paired(a: list[Value], b: list[Value], floor: float | None) -> Contrast:
    """Several trials of one side in a block count as their geometric mean."""
    pairs = _pairs(_by_block(a), _by_block(b))
    alone = len(a) + len(b) - sum(map(len, chain.from_iterable(pairs)))
    means = [[_mean(values) for values in side] for side in zip(*pairs, strict=True)] or [[], []]
    found = estimates.paired(means[0], means[1], floor=floor or 0.0)
    why = "" if found else _too_few(len(a), len(b), "fewer than two blocks in common")
    return Contrast(design="paired", estimate=found, unpaired=alone, floor=floor, why=why)


ByBlock = Mapping[Block, list[float]]


def _pairs(a: ByBlock, b: ByBlock) -> list[tuple[list[float], list[float]]]:
    """What one submission measured of both sides in a block makes a pair; what is left of both in
    one block, where a resume ended what another submission began, makes one more."""
    shared = a.keys() & b.keys()
    pairs = [(a[block], b[block]) for block in sorted(shared)]
    if len(shared) == max(len(a), len(b)):
        return pairs
    rest_a, rest_b = ({k: v for k, v in side.items() if k not in shared} for side in (a, b))
    for number in sorted({block for block, _ in rest_a} & {block for block, _ in rest_b}):
        pairs.append((_of_number(rest_a, number), _of_number(rest_b, number)))
    return pairs


def _of_number(values: ByBlock, number: str) -> list[float]:
    return [value for block in sorted(values) if block[0] == number for value in values[block]]


def _across(
    a: list[Value],
    b: list[Value],
    floors: Sequence[Mapping[str, float]],
    floor: float | None,
    of_kinds: bool,
) -> Contrast:
    sides = [_by_machine(a), _by_machine(b)]
    own = [[known[m] for m in side] for side, known in zip(sides, floors, strict=True)]
    values = [list(side.values()) for side in sides]
    if of_kinds and min(map(len, sides)) > 1:
        found = estimates.kinds_of_machines(values[0], values[1], floors=(own[0], own[1]))
        return _made("kinds of machines", found, floor, len(a), len(b))
    found = estimates.these_machines(values[0], values[1], floors=(own[0], own[1]))
    return _made("these machines", found if all(sides) else None, floor, len(a), len(b))


def _made(
    design: Design, found: Estimate | None, floor: float | None, of_a: int, of_b: int
) -> Contrast:
    why = "" if found else _too_few(of_a, of_b, "one trial of a machine")
    return Contrast(design=design, estimate=found, floor=floor, why=why)


def _too_few(baseline: int, side: int, otherwise: str) -> str:
    if min(baseline, side) == 0:
        return "no trial on one side"
    if baseline == side == 1:
        return "one trial per side"
    if min(baseline, side) == 1:
        return "one trial on one side"
    return otherwise


def _by_block(values: list[Value]) -> dict[Block, list[float]]:
    found = defaultdict(list)
    for _, block, value in values:
        found[block].append(value)
    return found


def _by_machine(values: list[Value]) -> dict[str, list[float]]:
    found = defaultdict(list)
    for machine, _, value in values:
        found[machine].append(value)
    return found


def _mean(values: list[float]) -> float:
    if len(values) == 1:
        return values[0]
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def floor_key(side: Side, machine_id: str, metric: Metric) -> FloorKey:
    """Of the control that was measured beside this very side."""
    row = side.variants[0].row
    work = (str(row.get(name)) for name in ("experiment", "session", "model", "job", "point"))
    return (machine_id, metric.name, *work)


def floor_of(floors: Floors, side: Side, metric: Metric) -> float:
    """The largest noise floor of the machines of one side; 0 where none is known."""
    [own] = _floors(floors, metric, side)
    return max(own.values(), default=0.0)


def _floors(floors: Floors, metric: Metric, *sides: Side) -> list[dict[str, float]]:
    """Of each side by machine: that of its own control, else the machine's last; else 0."""
    if not floors:
        return [dict.fromkeys(side.machines, 0.0) for side in sides]
    found = []
    for side in sides:
        own = {m: floors.get(floor_key(side, m, metric)) for m in side.machines}
        last = {m: floors.get((m, metric.name)) for m in side.machines}
        best = {m: own[m] or last[m] for m in side.machines}
        found.append({m: 0.0 if known is None else known.sd_log for m, known in best.items()})
    return found
