"""Matches cells that have the same settings but for the axis. Pure.

A setting that no side varies cannot tell one cell of a side from another. Where two sides have
unlike values of it, they are matched all the same, and the comparison says that it differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from fleet.query.variant import Variant

Settings = tuple[str | None, ...]
"""The value of each setting that is matched, as the experiment sets it; None: it sets none."""


@dataclass(frozen=True)
class SideCell:
    """The trials of one side under the same settings, on one piece of work."""

    side: str
    settings: Settings
    variants: tuple[Variant, ...]

    @cached_property
    def age(self) -> tuple[str, str]:
        """When it was last measured; the settings make the order certain."""
        return max(variant.last_at for variant in self.variants), str(self.settings)


def cells(
    variants: Sequence[Variant], names: Sequence[str], side: Callable[[Variant], str]
) -> list[SideCell]:
    """Group trials by side and settings. `names`: the settings that are matched."""
    groups: dict[tuple[str, Settings], list[Variant]] = defaultdict(list)
    for variant in variants:
        groups[side(variant), tuple(map(variant.asked_for, names))].append(variant)
    return [SideCell(name, settings, tuple(own)) for (name, settings), own in groups.items()]


def match(
    every: Sequence[SideCell], names: Sequence[str], may_differ: Collection[str]
) -> tuple[list[list[SideCell]], list[SideCell]]:
    """Return sets of cells of two or more sides, at most one of each; and the cells in none.

    Two cells that differ in the axis alone are in one set. What is left is matched once more
    without the settings that `may_differ`, the newest cell of each side first.
    """
    varied = _varied(every, len(names))
    matched, rest = _grouped(every, varied)
    strict = [at for at, name in enumerate(names) if name not in may_differ]
    more, rest = _grouped(rest, strict) if len(strict) < len(names) else ([], rest)
    return matched + more, rest


def only(cell: SideCell, every: Sequence[SideCell], names: Sequence[str]) -> str:
    """Say why a cell stands alone: `only studio has num_batch=128`."""
    others = [each for each in every if each.side != cell.side]
    varied = _varied(every, len(names))
    own = [at for at in varied if all(each.settings[at] != cell.settings[at] for each in others)]
    settings = (_words(names[at], cell.settings[at]) for at in own or varied)
    return f"only {cell.side} has {' '.join(settings)}"


def _words(name: str, value: str | None) -> str:
    return f"no {name}" if value is None else f"{name}={value}"


def _varied(every: Sequence[SideCell], settings: int) -> list[int]:
    """Return the places of the settings of which one side has two values or more."""
    values: dict[tuple[str, int], set[str | None]] = defaultdict(set)
    for cell in every:
        for at, value in enumerate(cell.settings):
            values[cell.side, at].add(value)
    varied = {at for (_, at), seen in values.items() if len(seen) > 1}
    return [at for at in range(settings) if at in varied]


def _grouped(
    every: Sequence[SideCell], settings: Sequence[int]
) -> tuple[list[list[SideCell]], list[SideCell]]:
    """Group cells that are equal in these settings; of one side the newest, the others are left."""
    groups: dict[Settings, dict[str, list[SideCell]]] = defaultdict(lambda: defaultdict(list))
    for cell in every:
        groups[tuple(cell.settings[at] for at in settings)][cell.side].append(cell)
    matched, rest = list[list[SideCell]](), list[SideCell]()
    for sides in groups.values():
        newest = [max(own, key=lambda cell: cell.age) for own in sides.values()]
        if len(newest) > 1:
            matched.append(newest)
        taken = newest if len(newest) > 1 else []
        rest += [cell for own in sides.values() for cell in own if cell not in taken]
    return matched, rest
