"""Sorts measured trials into the sides of a comparison: who stands against whom, on what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median

from fleet.compare.axes import Metric, natural
from fleet.compare.scopes import NOT_READ, common_scope, of_one_scope, unread_trials
from fleet.compare.variants import THROTTLED, Block, Variant
from fleet.model import likeness
from fleet.model.likeness import ENERGY_SCOPE, SETTINGS

STATE = ("engine", "engine_version", "engine_environment", *likeness.ENVIRONMENT_FACTS)
STATE += ("digest", "job_content", "gpu_limit_mb")
STATE += ("hardware_id", "os_version", "os_build", "kernel", "gpu_driver")
"""Two values of these on one machine are two states of it: only the newest is compared."""

TIME_AXES = ("experiment", "session", "date")
"""Their sides are different sessions by themselves, so none is shared."""


@dataclass(frozen=True)
class Side:
    """The trials that stand for one value of the axis."""

    name: str
    variants: tuple[Variant, ...]
    apart: Mapping[str, int]
    """Trials kept apart, by the reason."""
    known: dict[tuple[str, bool], list[tuple[str, Block, float]]] = field(
        default_factory=dict, compare=False
    )
    """Values, once they were asked for."""

    @cached_property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted({v.machine_id for v in self.variants}))

    @property
    def trials(self) -> int:
        return sum(variant.trials for variant in self.variants)

    @property
    def throttled(self) -> int:
        """So many of the trials; they stay on the side."""
        return sum(variant.trials for variant in self.variants if variant.throttled)

    @property
    def flags(self) -> str:
        """Those of every trial, and `throttled` where it is one's."""
        label = self.variants[0].label
        return " ".join(filter(None, (label, THROTTLED if self.throttled else "")))

    def has(self, flag: str) -> bool:
        return flag in self.flags.split()

    @property
    def cpu_share(self) -> float | None:
        """Of the model, outside the GPU's memory."""
        known = [float(str(v.row["cpu_share"])) for v in self.variants if v.row["cpu_share"]]
        return max(known, default=None)

    @property
    def imported(self) -> bool:
        return any(bool(v.row["imported"]) for v in self.variants)

    @cached_property
    def blocks(self) -> frozenset[str]:
        """Every block that a trial of this side is of, by experiment and session."""
        return frozenset(
            f"{variant.asked}/{block}"
            for variant in self.variants
            for block in variant.listed("blocks")
        )

    def in_turn_with(self, other: Side) -> bool:
        """The two were measured in the same span of time, not one after the other."""
        mine, theirs = self._span(), other._span()
        return mine[0] <= theirs[1] and theirs[0] <= mine[1]

    def _span(self) -> tuple[str, str]:
        first = min(str(variant.row["first_at"] or "") for variant in self.variants)
        return first, max(variant.age for variant in self.variants)

    def values(self, metric: Metric, sustained: bool = False) -> list[tuple[str, Block, float]]:
        """(machine id, block, value) of every trial that has one.

        `sustained`: the speed after heat has set in, for every trial that knows it.
        """
        key = metric.name, sustained and metric.sustained is not None
        if key not in self.known:
            self.known[key] = [
                (variant.machine_id, block, value)
                for variant in self.variants
                for block, value in zip(
                    variant.blocks(), _numbers(variant, metric, key[1]), strict=True
                )
                if value is not None and value > 0
            ]
        return self.known[key]

    def plain(self, column: str) -> list[float]:
        return [x for v in self.variants for x in v.numbers(column) if x is not None]

    def middle(self, column: str | None) -> float | None:
        """Median over the trials that have one."""
        values = self.plain(column) if column is not None else []
        return median(values) if values else None

    def told(self, field: str) -> str:
        return ", ".join(sorted(filter(None, self.facts(field))))

    def facts(self, field: str) -> set[str | None]:
        return {variant.text(field) for variant in self.variants}

    def notes(self, column: str) -> set[str]:
        found: set[str] = set()
        for variant in self.variants:
            found |= {str(note) for note in variant.listed(column) if note}
        return found


def _numbers(variant: Variant, metric: Metric, sustained: bool) -> list[float | None]:
    plain = variant.numbers(metric.column)
    if not sustained or metric.sustained is None:
        return plain
    after = variant.numbers(metric.sustained)
    return [p if a is None or p is None else a for a, p in zip(after, plain, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Bout:
    """Sides that stand against one another: same work, same settings but for the axis."""

    model: str | None
    job: str
    point: str
    machine: str | None
    """None where the sides are different machines."""
    settings: str
    scope: str = ""
    """The part of the machine whose energy is compared; empty: unlike ones, or not asked."""
    sides: tuple[Side, ...]

    @property
    def work(self) -> tuple[str | None, ...]:
        return self.model, self.job, self.point, self.machine, self.settings


def is_across(axis: str, variants: Sequence[Variant]) -> bool:
    """The sides are different machines, not states of one."""
    always = likeness.is_across(axis)
    if always is not None:
        return always
    shown = defaultdict(set)
    for variant in variants:
        shown[variant.machine_id].add(variant.text("axis_value"))
    return all(len(values) == 1 for values in shown.values())


def bouts(
    variants: Sequence[Variant],
    axis: str,
    name: Callable[[Variant], str],
    *,
    across: bool,
    freed: frozenset[str],
) -> list[Bout]:
    """Every set of sides, in the order of model, job, point, machine, settings, scope.

    Settings tell sets apart, and scopes of energy; a side that nobody of equal ones stands against
    is set against the others all the same, for the comparison to say what differs.
    """
    fixed = [s for s in SETTINGS if s != axis and axis != "settings" and s not in freed]
    work = [f for f in ("model", "job", "point") if f != axis and (axis, f) != ("digest", "model")]
    work += [] if across else ["machine_id"]
    grounds: dict[tuple[str | None, ...], list[Variant]] = defaultdict(list)
    for variant in variants:
        grounds[tuple(_work(variant, field, axis) for field in work)].append(variant)
    of_ground = _bouts_of_energy if tells_energy(variants) else _bouts_of_ground
    found = []
    for ground in grounds.values():
        found += of_ground(ground, axis, name, across=across, fixed=fixed)
    return sorted(found, key=lambda b: [natural(x) for x in (*b.work, b.scope)])


def tells_energy(variants: Sequence[Variant]) -> bool:
    return any(ENERGY_SCOPE in variant.row for variant in variants)


def _bouts_of_energy(
    ground: Sequence[Variant],
    axis: str,
    name: Callable[[Variant], str],
    *,
    across: bool,
    fixed: Sequence[str],
) -> list[Bout]:
    """None where nobody's energy was read; else one for each scope that two sides have."""
    if not any(variant.scope for variant in ground):
        return []
    ground = sorted(ground, key=lambda variant: variant.scope or "")
    fixed = [*fixed, ENERGY_SCOPE]
    unread = unread_trials(ground, name)
    return [
        replace(bout, sides=tuple(_without(side, unread[side.name]) for side in bout.sides))
        for bout in _bouts_of_ground(ground, axis, name, across=across, fixed=fixed)
    ]


def _without(side: Side, unread: int) -> Side:
    return replace(side, apart={**side.apart, NOT_READ: unread}) if unread else side


def _bouts_of_ground(
    ground: Sequence[Variant],
    axis: str,
    name: Callable[[Variant], str],
    *,
    across: bool,
    fixed: Sequence[str],
) -> list[Bout]:
    by_settings: dict[tuple[str | None, ...], dict[str, list[Variant]]] = {}
    for variant in ground:
        if ENERGY_SCOPE in fixed and variant.scope is None:
            continue  # two that have none have none in common
        key = tuple(variant.asked_for(setting) for setting in fixed)
        by_settings.setdefault(key, {}).setdefault(name(variant), []).append(variant)
    own: dict[str, list[Variant]] = defaultdict(list)
    for variant in ground:
        own[name(variant)].append(variant)
    everyone = {side: of_one_scope(variants) for side, variants in own.items()}
    matched = {key: sides for key, sides in by_settings.items() if len(sides) > 1}
    if not matched:
        return [_bout(everyone, axis, across, fixed)]
    alone = set(everyone).difference(*(sides.keys() for sides in matched.values()))
    first = next(iter(matched.values()))
    first.update({side: everyone[side] for side in alone})
    return [_bout(sides, axis, across, fixed) for sides in matched.values()]


def _bout(
    sides: Mapping[str, Sequence[Variant]], axis: str, across: bool, fixed: Sequence[str]
) -> Bout:
    shared = set.intersection(*({v.asked for v in side} for side in sides.values()))
    if axis in TIME_AXES:
        shared = set()
    chosen = [_choose(name, variants, shared, axis, fixed) for name, variants in sides.items()]
    chosen.sort(key=lambda side: natural(side.name))
    first = chosen[0].variants[0]
    asked = [s for s in fixed if s != ENERGY_SCOPE]
    given = [(s, first.asked_for(s)) for s in asked if first.asked_for(s) is not None]
    models, jobs, points = (
        {v.text(f) or "" for side in chosen for v in side.variants}
        for f in ("model", "job", "point")
    )
    return Bout(
        model=models.pop() if len(models) == 1 else None,
        job=jobs.pop() if len(jobs) == 1 else "",
        point=points.pop() if len(points) == 1 else "",
        machine=None if across else first.text("machine"),
        settings=" ".join(f"{field}={value}" for field, value in given),
        scope=common_scope([side.variants for side in chosen]),
        sides=tuple(chosen),
    )


def _choose(
    name: str,
    variants: Sequence[Variant],
    shared: set[tuple[str | None, str | None]],
    axis: str,
    fixed: Sequence[str],
) -> Side:
    """The newest session that all sides have, else each machine's; unlabelled trials first."""
    pool = [v for v in variants if v.asked in shared] or list(variants)
    pool = [v for own in _by_machine(pool).values() for v in _newest(own, axis, fixed)]
    labels = Counter[str]()
    for variant in pool:
        labels[variant.label] += variant.trials
    label = "" if "" in labels else labels.most_common(1)[0][0]
    taken = tuple(v for v in pool if v.label == label)
    apart = Counter({kept: count for kept, count in labels.items() if kept != label})
    apart["measured earlier or in another state"] = sum(v.trials for v in variants) - labels.total()
    return Side(name, taken, +apart)


def _newest(own: Sequence[Variant], axis: str, fixed: Sequence[str]) -> list[Variant]:
    """Of one machine: its newest session, and the newest state in that."""
    newest = max(own, key=lambda v: v.age)
    state = _state(newest, axis, fixed)
    return [v for v in own if v.asked == newest.asked and _state(v, axis, fixed) == state]


def _state(variant: Variant, axis: str, fixed: Sequence[str]) -> tuple[str | None, ...]:
    found = (variant.text(fact) for fact in STATE if fact != axis)
    return (*found, *(variant.asked_for(setting) for setting in fixed))


def _by_machine(variants: Iterable[Variant]) -> dict[str, list[Variant]]:
    found: dict[str, list[Variant]] = defaultdict(list)
    for variant in variants:
        found[variant.machine_id].append(variant)
    return found


def _work(variant: Variant, field: str, axis: str) -> str | None:
    """Jobs of one text each have a point of the job's own name: the same point to a job axis."""
    own = field == "point" and axis == "job" and variant.row["point"] == variant.row["job"]
    return "" if own else variant.text(field)
