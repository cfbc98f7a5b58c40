"""Which trials of a cell are compared: one session, one state of each machine, one label. Pure.

A cell may have been measured in several sessions, before and after an update, with and without a
flag. Trials of these are never pooled: some are chosen, and of the others it is said why not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

from fleet import comparability
from fleet.comparability import FACTS, AxisRules, state_facts
from fleet.compare.left_out import LeftOut
from fleet.compare.matching import SideCell
from fleet.compare.sides import Side
from fleet.query.variant import Variant

TIME_AXES = ("experiment", "session", "date")
"""Their sides are different sessions by themselves, so none is shared."""

SHOWN_LETTERS = 20

Pools = Mapping[tuple[str, str], Sequence[Variant]]
"""By side and machine id."""


def choose(cells: Sequence[SideCell], rules: AxisRules) -> tuple[list[Side], list[LeftOut]]:
    """Choose the newest session that all sides have, in a state that all have.

    Where none is shared, each machine has its own newest one. Trials without a label come before
    others.
    """
    pools = _pools(cells)
    if rules.axis not in TIME_AXES:
        pools = _in_common(pools, lambda variant: variant.session)
    refused = [fact for fact in state_facts() if fact in FACTS and rules.refuses(fact)]
    pools = _in_common(pools, lambda variant: tuple(map(variant.text, refused)))
    state = [fact for fact in state_facts() if fact != rules.axis]
    pools = {key: _newest(own, state) for key, own in pools.items()}
    sides, left = list[Side](), list[LeftOut]()
    for cell in cells:
        side, others = _side(cell, pools, state)
        sides.append(side)
        left += others
    return sides, left


def _pools(cells: Sequence[SideCell]) -> Pools:
    pools: dict[tuple[str, str], list[Variant]] = defaultdict(list)
    for cell in cells:
        for variant in cell.variants:
            pools[cell.side, variant.machine_id].append(variant)
    return pools


def _in_common(pools: Pools, key: Callable[[Variant], Hashable]) -> Pools:
    """Keep the newest value of `key` that all machines share; else those that all sides share."""
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
    """Return since when no machine has shown this value any more, the first of them."""
    return min(max(v.last_at for v in own if key(v) == value) for own in pools.values())


def _newest(own: Sequence[Variant], state: Sequence[str]) -> list[Variant]:
    """Return one machine's trials of its newest session, in the newest state of that."""

    def place(variant: Variant) -> tuple[object, ...]:
        return variant.session, *map(variant.text, state)

    newest = max(own, key=lambda variant: (variant.last_at, str(place(variant))))
    return [variant for variant in own if place(variant) == place(newest)]


def _side(cell: SideCell, pools: Pools, state: Sequence[str]) -> tuple[Side, list[LeftOut]]:
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
    chosen = max(same_machine or taken, key=lambda each: each.last_at)
    if variant.session != chosen.session:
        return _other_session(variant, chosen)
    others = [_words(fact, variant) for fact in state if variant.text(fact) != chosen.text(fact)]
    return f"in another state: {', '.join(others)}"


def _other_session(variant: Variant, chosen: Variant) -> str:
    day = variant.last_at[:10] or "day unknown"
    (experiment, _), (of_chosen, _) = variant.session, chosen.session
    where = day if experiment == of_chosen else f"{experiment}, {day}"
    if variant.last_at > chosen.last_at:
        return f"a later session ({where}) that not every side has"
    return f"an earlier session ({where})"


def _words(fact: str, variant: Variant) -> str:
    if fact == "job_content":
        return "content of the job"
    words = {column.name: column.words for column in comparability.POOLING_KEY}
    value = (variant.text(fact) or "unknown")[:SHOWN_LETTERS]
    return f"{words.get(fact) or FACTS[fact].words} {value}"
