"""Which energies stand against one another: those of one part of the machine. Pure.

A trial has as many energies as parts of its machine were read: a GPU board, a wall plug. They are
never pooled, so each has a bout of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from fleet.compare.variants import Variant

NOT_READ = "no energy was read"


def unread_trials(variants: Sequence[Variant], name: Callable[[Variant], str]) -> Counter[str]:
    """By side: trials whose energy nobody read, where that of others was."""
    read = {name(variant) for variant in variants if variant.scope is not None}
    found = Counter[str]()
    for variant in variants:
        if variant.scope is None and name(variant) in read:
            found[name(variant)] += variant.trials
    return found


def of_one_scope(variants: Sequence[Variant]) -> list[Variant]:
    """Of a side that shares no scope with another: any one of its own."""
    first = min((v.scope for v in variants if v.scope is not None), default=None)
    return [variant for variant in variants if variant.scope == first]


def common_scope(sides: Sequence[Sequence[Variant]]) -> str:
    """The one that two sides tell, or the only one; empty where each tells another, or none."""
    told = Counter(scope for scope in (side[0].scope for side in sides) if scope is not None)
    common = told.most_common(1)
    return common[0][0] if common and (common[0][1] > 1 or len(told) == 1) else ""
