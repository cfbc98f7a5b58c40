"""Sorts measured trials into matchups: who stands against whom, on what. Pure.

Every variant that comes in is in exactly one matchup, or is left out with its reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fleet import comparability
from fleet.comparability import SETTINGS, AxisRules
from fleet.compare.choosing import choose
from fleet.compare.energy_scopes import by_scope, common_scope
from fleet.compare.left_out import LeftOut
from fleet.compare.matching import SideCell, cells, match, only
from fleet.compare.sides import Side
from fleet.names import natural
from fleet.query.variant import Variant

SideName = Callable[[Variant], str]


@dataclass(frozen=True, kw_only=True)
class Matchup:
    """Sides that stand against one another: same work, same settings but for the axis."""

    model: str | None
    job: str
    point: str
    machine: str | None
    """None where the sides are different machines."""
    settings: str
    """Those that all sides have in common."""
    scope: str = ""
    """The part of the machine whose energy is compared; empty: unlike parts, or no energy."""
    sides: tuple[Side, ...]

    @property
    def work(self) -> tuple[str | None, ...]:
        return self.model, self.job, self.point, self.machine, self.settings

    def place(self) -> Iterator[str | None]:
        """Yield what makes the order certain where two matchups are called alike."""
        for side in self.sides:
            yield from (side.name, side.variants[0].machine_id, side.words("settings"))

    def variants(self) -> Iterator[Variant]:
        for side in self.sides:
            yield from side.variants


@dataclass(frozen=True, kw_only=True)
class Matched:
    matchups: tuple[Matchup, ...]
    """In the order of model, job, point, machine, settings, scope."""
    left_out: tuple[LeftOut, ...]


def is_across(axis: str, variants: Sequence[Variant]) -> bool:
    """Return whether the sides are different machines, not states of one."""
    always = comparability.is_across(axis)
    if always is not None:
        return always
    shown = defaultdict(set)
    for variant in variants:
        shown[variant.machine_id].add(variant.text("axis_value"))
    return all(len(values) == 1 for values in shown.values())


def matchups(
    variants: Sequence[Variant], rules: AxisRules, name: SideName, *, across: bool
) -> Matched:
    """Set every pair of cells that differ in the axis alone against one another.

    `name`: how the side of a variant is called. `across`: the sides are different machines.
    """
    axis = rules.axis
    work = [f for f in ("model", "job", "point") if f != axis and (axis, f) != ("digest", "model")]
    work += [] if across else ["machine_id"]
    grounds: dict[tuple[str | None, ...], list[Variant]] = defaultdict(list)
    for variant in variants:
        grounds[tuple(_work(variant, field, axis) for field in work)].append(variant)
    made, left = list[Matchup](), list[LeftOut]()
    for ground in grounds.values():
        own, others = _of_ground(ground, rules, name, across=across)
        made += own
        left += others
    made.sort(key=lambda each: [natural(x) for x in (*each.work, each.scope, *each.place())])
    return Matched(matchups=tuple(made), left_out=tuple(left))


def _of_ground(
    ground: Sequence[Variant], rules: AxisRules, name: SideName, *, across: bool
) -> tuple[list[Matchup], list[LeftOut]]:
    """Match the cells of one piece of work."""
    names = [] if rules.axis == "settings" else [s for s in SETTINGS if s != rules.axis]
    loose = {setting for setting in names if not rules.refuses(setting)}
    every = cells(ground, names, name)
    if len({cell.side for cell in every}) < 2:
        return [], [
            each for cell in every for each in _alone(cell, f"only {cell.side} did this work")
        ]
    sets, rest = match(every, names, loose)
    left = [each for cell in rest for each in _alone(cell, only(cell, every, names))]
    made = list[Matchup]()
    for group in sets:
        parts, unread = by_scope(group) if ground[0].tells_energy else ([group], [])
        left += unread
        for part in parts:
            sides, others = choose(part, rules)
            left += others
            made.append(_matchup(sides, across, names))
    return made, left


def _alone(cell: SideCell, reason: str) -> Iterator[LeftOut]:
    for variant in cell.variants:
        yield LeftOut(side=cell.side, variant=variant, reason=reason)


def _matchup(sides: Sequence[Side], across: bool, names: Sequence[str]) -> Matchup:
    sides = sorted(sides, key=lambda side: natural(side.name))
    first = sides[0].variants[0]
    models, jobs, points = (
        {v.text(f) or "" for side in sides for v in side.variants}
        for f in ("model", "job", "point")
    )
    values = ((s, {side.variants[0].asked_for(s) for side in sides}) for s in names)
    shared = [(s, value) for s, own in values if len(own) == 1 for value in own]
    return Matchup(
        model=models.pop() if len(models) == 1 else None,
        job=jobs.pop() if len(jobs) == 1 else "",
        point=points.pop() if len(points) == 1 else "",
        machine=None if across else first.text("machine"),
        settings=" ".join(f"{s}={value}" for s, value in shared if value is not None),
        scope=common_scope([side.variants for side in sides]),
        sides=tuple(sides),
    )


def _work(variant: Variant, field: str, axis: str) -> str | None:
    """Return a part of the work; two jobs of one text each have the same point to a job axis.

    Such a point has the name of its job.
    """
    own = field == "point" and axis == "job" and variant.facts["point"] == variant.facts["job"]
    return "" if own else variant.text(field)
