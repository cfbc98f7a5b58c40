"""Chooses the estimate for two sides by how they were measured, never by the values seen.

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

from fleet.compare.sides import Side, Value
from fleet.metrics.metric import Metric
from fleet.query.variant import Block
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEstimate:
    """One side against the baseline; where there is no estimate, `why` says what is missing."""

    design: Design
    estimate: Estimate | None = None
    unpaired: int = 0
    """Trials of either side whose block has none of the other's."""
    floor: float | None = None
    """The larger noise floor of the two sides, as a share; None: not known."""
    why: str = ""


def estimate_pair(
    baseline: Side,
    side: Side,
    metric: Metric,
    *,
    floors: Floors = NO_FLOORS,
    of_kinds: bool = True,
) -> PairEstimate:
    """Estimate the ratio of one side to the baseline.

    `of_kinds` false: even of several machines a side only the spread between trials counts, which
    more trials narrow.
    """
    a, b = baseline.values(metric), side.values(metric)
    known = _floors(floors, metric, baseline, side)
    floor = max((sd_log for of_side in known for sd_log in of_side.values()), default=0.0) or None
    one_machine = baseline.machines == side.machines and len(side.machines) == 1
    if one_machine and _in_blocks(baseline, side):
        return _paired(a, b, floor)
    if one_machine:
        pair = (floor or 0.0, floor or 0.0)
        estimate = estimates.welch([x for _, _, x in a], [x for _, _, x in b], floors=pair)
        return _made("one after the other", estimate, floor, len(a), len(b))
    return _across(a, b, known, floor, of_kinds)


def _in_blocks(baseline: Side, side: Side) -> bool:
    """Return whether both were measured in turn in common blocks; imported trials have none."""
    if baseline.imported or side.imported:
        return False
    return bool(baseline.blocks & side.blocks) and baseline.in_turn_with(side)


def _paired(a: list[Value], b: list[Value], floor: float | None) -> PairEstimate:
    """Estimate from pairs; several trials of one side in a block count as their geometric mean."""
    pairs = _pairs(_by_block(a), _by_block(b))
    alone = len(a) + len(b) - sum(map(len, chain.from_iterable(pairs)))
    means = [[_mean(values) for values in side] for side in zip(*pairs, strict=True)] or [[], []]
    estimate = estimates.paired(means[0], means[1], floor=floor or 0.0)
    why = "" if estimate else _too_few(len(a), len(b), "fewer than two blocks in common")
    return PairEstimate(design="paired", estimate=estimate, unpaired=alone, floor=floor, why=why)


ByBlock = Mapping[Block, list[float]]


def _pairs(a: ByBlock, b: ByBlock) -> list[tuple[list[float], list[float]]]:
    """Pair what one submission measured of both sides in a block.

    What is left of both in one block, where a resume ended what another submission began, makes
    one more pair.
    """
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
) -> PairEstimate:
    sides = [_by_machine(a), _by_machine(b)]
    own = [[known[m] for m in side] for side, known in zip(sides, floors, strict=True)]
    values = [list(side.values()) for side in sides]
    if of_kinds and min(map(len, sides)) > 1:
        estimate = estimates.kinds_of_machines(values[0], values[1], floors=(own[0], own[1]))
        return _made("kinds of machines", estimate, floor, len(a), len(b))
    estimate = estimates.these_machines(values[0], values[1], floors=(own[0], own[1]))
    return _made("these machines", estimate if all(sides) else None, floor, len(a), len(b))


def _made(
    design: Design, estimate: Estimate | None, floor: float | None, of_a: int, of_b: int
) -> PairEstimate:
    why = "" if estimate else _too_few(of_a, of_b, "one trial of a machine")
    return PairEstimate(design=design, estimate=estimate, floor=floor, why=why)


def _too_few(baseline: int, side: int, otherwise: str) -> str:
    if min(baseline, side) == 0:
        return "no trial on one side"
    if baseline == side == 1:
        return "one trial per side"
    if min(baseline, side) == 1:
        return "one trial on one side"
    return otherwise


def _by_block(values: list[Value]) -> dict[Block, list[float]]:
    values_of = defaultdict(list)
    for _, block, value in values:
        values_of[block].append(value)
    return values_of


def _by_machine(values: list[Value]) -> dict[str, list[float]]:
    values_of = defaultdict(list)
    for machine, _, value in values:
        values_of[machine].append(value)
    return values_of


def _mean(values: list[float]) -> float:
    if len(values) == 1:
        return values[0]
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def floor_key(side: Side, machine_id: str, metric: Metric) -> FloorKey:
    """Return the key of the control that was measured beside this very side."""
    facts = side.variants[0].facts
    work = (str(facts.get(name)) for name in ("experiment", "session", "model", "job", "point"))
    return (machine_id, metric.name, *work)


def floor_of(floors: Floors, side: Side, metric: Metric) -> float:
    """Return the largest noise floor of the machines of one side; 0 where none is known."""
    [own] = _floors(floors, metric, side)
    return max(own.values(), default=0.0)


def _floors(floors: Floors, metric: Metric, *sides: Side) -> list[dict[str, float]]:
    """Return each side's floors by machine: of its own control, else the machine's last, else 0."""
    if not floors:
        return [dict.fromkeys(side.machines, 0.0) for side in sides]
    of_sides = []
    for side in sides:
        own = {m: floors.get(floor_key(side, m, metric)) for m in side.machines}
        last = {m: floors.get((m, metric.name)) for m in side.machines}
        best = {m: own[m] or last[m] for m in side.machines}
        of_sides.append({m: 0.0 if known is None else known.sd_log for m, known in best.items()})
    return of_sides
