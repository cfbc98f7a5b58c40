"""Which trials of a cell are compared: one session, one state of each machine, one label. Pure.

A cell may have been measured in several sessions, before and after an update, with and without a
flag. Trials of these are never pooled: some are chosen, and of the others it is said why not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

from fleet.comparability import FACTS, standing
from fleet.compare.left_out import LeftOut
from fleet.compare.matching import Cell
from fleet.compare.sides import STATE, Side
from fleet.query.variants import Variant

TIME_AXES = ("experiment", "session", "date")
"""Their sides are different sessions by themselves, so none is shared."""

SHOWN_LETTERS = 20

Pools = Mapping[tuple[str, str], Sequence[Variant]]
"""By side and machine id."""


def choose(
    cells: Sequence[Cell], axis: str, freed: frozenset[str]
) -> tuple[list[Side], list[LeftOut]]:
    """The newest session that all sides have, in a state that all have; else each machine's own
    newest. Trials without a label before others."""
    pools = _pools(cells)
    if axis not in TIME_AXES:
        pools = _in_common(pools, lambda variant: variant.asked)
    refused = [f for f in STATE if f in FACTS and f not in freed and standing(f, axis) == "refused"]
    pools = _in_common(pools, lambda variant: tuple(map(variant.text, refused)))
    state = [fact for fact in STATE if fact != axis]
    pools = {key: _newest(own, state) for key, own in pools.items()}
    sides, left = list[Side](), list[LeftOut]()
    for cell in cells:
        side, others = _side(cell, pools, state)
        sides.append(side)
        left += others
    return sides, left


def _pools(cells: Sequence[Cell]) -> Pools:
    pools: dict[tuple[str, str], list[Variant]] = defaultdict(list)
    for cell in cells:
        for variant in cell.variants:
            pools[cell.side, variant.machine_id].append(variant)
    return pools


def _in_common(pools: Pools, key: Callable[[Variant], Hashable]) -> Pools:
    """Only the newest value of `key` that all machines share; else those that all sides share."""
    values = [{key(variant) for variant in own} for own in pools.values()]
    shared = set.intersection(*values)
    if shared:
        newest = max(shared, key=lambda value: (_since(pools, key, value), str(value)))
        return {at: [v for v in own if key(v) == newest] for at, own in pools.items()}
    of_side: dict[str, set[Hashable]] = defaultdict(set)
    for (side, _), own in pools.items():
        of_side[side] |= {key(variant) for variant in own}
    shared = set.intersection(*of_side.values())
    return {at: [v for v in own if key(v) in shared] or own for at, own in pools.items()}


def _since(pools: Pools, key: Callable[[Variant], Hashable], value: Hashable) -> str:
    """When the last machine of all had this value for the last time."""
    return min(max(v.age for v in own if key(v) == value) for own in pools.values())


def _newest(own: Sequence[Variant], state: Sequence[str]) -> list[Variant]:
    """Of one machine: its newest session, and the newest state in that."""

    def place(variant: Variant) -> tuple[object, ...]:
        return variant.asked, *map(variant.text, state)

    newest = max(own, key=lambda variant: (variant.age, str(place(variant))))
    return [variant for variant in own if place(variant) == place(newest)]


def _side(cell: Cell, pools: Pools, state: Sequence[str]) -> tuple[Side, list[LeftOut]]:
    pool = [v for (side, _), own in pools.items() if side == cell.side for v in own]
    labels = Counter[str]()
    for variant in pool:
        labels[variant.label] += variant.trials
    label = min(labels, key=lambda each: (each != "", -labels[each], each))
    taken = tuple(variant for variant in pool if variant.label == label)
    kept = set(map(id, taken))
    left = [
        LeftOut(side=cell.side, variant=v, reason=_why_not(v, taken, pool, state), apart=True)
        for v in cell.variants
        if id(v) not in kept
    ]
    apart = Counter[str]()
    for each in left:
        apart[each.reason] += each.variant.trials
    return Side(cell.side, taken, dict(apart)), left


def _why_not(
    variant: Variant, taken: Sequence[Variant], pool: Sequence[Variant], state: Sequence[str]
) -> str:
    if any(variant is each for each in pool):
        return variant.label or "without a flag"
    same_machine = [each for each in taken if each.machine_id == variant.machine_id]
    chosen = max(same_machine or taken, key=lambda each: each.age)
    if variant.asked != chosen.asked:
        return _other_session(variant, chosen)
    told = [_said(fact, variant) for fact in state if variant.text(fact) != chosen.text(fact)]
    return f"in another state: {', '.join(told)}"


def _other_session(variant: Variant, chosen: Variant) -> str:
    day = variant.age[:10] or "day unknown"
    (experiment, _), (of_chosen, _) = variant.asked, chosen.asked
    where = day if experiment == of_chosen else f"{experiment}, {day}"
    if variant.age > chosen.age:
        return f"a later session ({where}) that not every side has"
    return f"an earlier session ({where})"


WORDS = {
    "digest": "digest",
    "job_content": "content of the job",
    "engine": "engine",
    "engine_version": "engine version",
    "hardware_id": "hardware",
    "kernel": "kernel",
    "gpu_limit_mb": "GPU limit (MiB)",
}


def _said(fact: str, variant: Variant) -> str:
    words = WORDS.get(fact) or FACTS[fact].words
    value = "" if fact == "job_content" else (variant.text(fact) or "unknown")[:SHOWN_LETTERS]
    return f"{words} {value}".strip()
