"""Matches energies of the same part of a machine. Pure.

A trial has as many energies as parts of its machine were read: a GPU board, a wall plug. They are
never pooled, so each has a matchup of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fleet.compare.left_out import LeftOut
from fleet.compare.matching import SideCell
from fleet.query.variant import Variant

NOT_READ = "no energy was read"


def by_scope(cells: Sequence[SideCell]) -> tuple[list[list[SideCell]], list[LeftOut]]:
    """Return a set of cells for each part of the machine that two sides have; and the rest.

    A side that shares no part with another is set against the others of the first set all the same,
    for the comparison to say what differs. No set where nobody's energy was read.
    """
    if not any(variant.scope for cell in cells for variant in cell.variants):
        return [], _unread(cells)
    parts = sorted({v.scope for cell in cells for v in cell.variants if v.scope is not None})
    sets = [[_of(cell, part) for cell in cells if _has(cell, part)] for part in parts]
    sets = [each for each in sets if len(each) > 1] or [[]]
    matched = {cell.side for each in sets for cell in each}
    sets[0] += [_of_one_scope(cell) for cell in cells if cell.side not in matched]
    return sets, _unused(cells, sets)


def common_scope(sides: Sequence[Sequence[Variant]]) -> str:
    """Return the energy scope that two sides report, or the only one.

    Empty where each side reports another scope, or none.
    """
    scopes = Counter(scope for scope in (side[0].scope for side in sides) if scope is not None)
    common = scopes.most_common(1)
    return common[0][0] if common and (common[0][1] > 1 or len(scopes) == 1) else ""


def _of(cell: SideCell, scope: str | None) -> SideCell:
    return replace(cell, variants=tuple(v for v in cell.variants if v.scope == scope))


def _has(cell: SideCell, scope: str) -> bool:
    return any(variant.scope == scope for variant in cell.variants)


def _of_one_scope(cell: SideCell) -> SideCell:
    """Return the cell of a side that shares no scope with another, with one scope of its own."""
    return _of(cell, min((v.scope for v in cell.variants if v.scope is not None), default=None))


def _unread(cells: Sequence[SideCell]) -> list[LeftOut]:
    return [
        LeftOut(side=cell.side, variant=variant, reason=NOT_READ)
        for cell in cells
        for variant in cell.variants
    ]


def _unused(cells: Sequence[SideCell], sets: Sequence[Sequence[SideCell]]) -> list[LeftOut]:
    used = {id(variant) for each in sets for cell in each for variant in cell.variants}
    return [
        LeftOut(
            side=cell.side,
            variant=variant,
            reason=f"only {cell.side} has energy of {variant.scope}" if variant.scope else NOT_READ,
            apart=variant.scope is None,
        )
        for cell in cells
        for variant in cell.variants
        if id(variant) not in used
    ]
