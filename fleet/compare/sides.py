"""Sorts measured trials into the sides of a comparison: who stands against whom, on what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb

from fleet.compare.axes import (
    CONDITION_AXES,
    HARDWARE_AXES,
    IMPLIED,
    SETTINGS,
    Metric,
    natural,
)
from fleet.compare.reader import Row, rows
from fleet.compare.views import question
from fleet.compare.where import where_sql

STATE = ("engine", "engine_version", "engine_environment", "digest", "job_content", "gpu_limit_mb")
"""Two values of these on one machine are two states of it: only the newest is compared."""


@dataclass(frozen=True)
class Variant:
    """Trials of one point that may be pooled, as one row of `variants.sql`."""

    row: Row

    def text(self, field: str) -> str | None:
        value = self.row[field]
        return None if value is None else str(value)

    @cached_property
    def asked(self) -> tuple[str | None, str | None]:
        return self.text("experiment"), self.text("session")

    @cached_property
    def age(self) -> str:
        return str(self.row["last_at"] or "")

    @property
    def trials(self) -> int:
        return int(str(self.row["trials"]))

    @property
    def flags(self) -> str:
        return self.text("flags") or ""

    def listed(self, column: str) -> list[Any]:
        """One item per trial, in the same order for every column."""
        values = self.row[column]
        if not isinstance(values, list):
            raise TypeError(f"{column} holds one {type(values).__name__}, not one per trial")
        return values

    def numbers(self, column: str) -> list[float | None]:
        return [None if value is None else float(value) for value in self.listed(column)]


@dataclass(frozen=True)
class Side:
    """The trials that stand for one value of the axis."""

    name: str
    variants: tuple[Variant, ...]
    apart: Mapping[str, int]
    """Trials kept apart, by the reason."""
    known: dict[str, list[tuple[str, float]]] = field(default_factory=dict, compare=False)
    """Values by metric, once they were asked for."""

    @cached_property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted({v.text("machine_id") or "" for v in self.variants}))

    @property
    def flags(self) -> str:
        return self.variants[0].flags

    @property
    def imported(self) -> bool:
        return any(bool(v.row["imported"]) for v in self.variants)

    def values(self, metric: Metric) -> list[tuple[str, float]]:
        """(block, value) of every trial that has one."""
        if metric.name not in self.known:
            self.known[metric.name] = [
                (f"{variant.asked}/{block}", value)
                for variant in self.variants
                for block, value in zip(
                    variant.listed("blocks"), variant.numbers(metric.column), strict=True
                )
                if value is not None and value > 0
            ]
        return self.known[metric.name]

    def plain(self, column: str) -> list[float]:
        return [x for v in self.variants for x in v.numbers(column) if x is not None]

    def facts(self, field: str) -> set[str | None]:
        return {variant.text(field) for variant in self.variants}

    def notes(self, column: str) -> set[str]:
        found: set[str] = set()
        for variant in self.variants:
            found |= {str(note) for note in variant.listed(column) if note}
        return found


@dataclass(frozen=True)
class Bout:
    """Sides that stand against one another: same work, same settings but for the axis."""

    model: str | None
    job: str
    point: str
    machine: str | None
    """None where the sides are different machines."""
    settings: str
    sides: tuple[Side, ...]


def read_variants(
    con: duckdb.DuckDBPyConnection,
    axis: str,
    metrics: Iterable[Metric],
    where: str,
    experiment: str | None,
) -> list[Variant]:
    """Raises UnknownName for a column in `where` that is none."""
    columns = [str(row["column_name"]) for row in rows(con, "describe speeds")] if where else []
    clause, parameters = where_sql(where, columns)
    if experiment is not None:
        clause, parameters = f"{clause} and experiment = ?", [*parameters, experiment]
    wanted = sorted({c for m in metrics for c in (m.column, m.naive, m.note) if c is not None})
    sql = question(
        "variants",
        axis="machine_id" if axis == "machine" else f'"{axis}"',
        metrics=", ".join(f"list({column}) as {column}" for column in wanted),
        where=clause,
    )
    return [Variant(row) for row in rows(con, sql, parameters)]


def is_across(axis: str, variants: Sequence[Variant]) -> bool:
    """The sides are different machines, not states of one."""
    if axis in HARDWARE_AXES:
        return True
    if axis not in CONDITION_AXES:
        return False
    shown = defaultdict(set)
    for variant in variants:
        shown[variant.row["machine_id"]].add(variant.text("axis_value"))
    return all(len(values) == 1 for values in shown.values())


def side_names(axis: str, variants: Sequence[Variant], pool: bool) -> Callable[[Variant], str]:
    """How a side is called; unlike hardware never shares one unless `pool`."""
    if axis == "machine":
        ids = defaultdict(set)
        for variant in variants:
            ids[variant.text("machine")].add(variant.text("machine_id"))
        return lambda v: _machine_name(v, len(ids[v.text("machine")]) > 1)
    if axis in HARDWARE_AXES and not pool:
        return lambda v: " ".join(filter(None, (_shown(v), _hardware_class(v, axis))))
    return _shown


def is_called(variant: Variant, axis: str, name: str) -> bool:
    """A side is named by its value, a machine also by the beginning of its id."""
    value = variant.text("axis_value") or ""
    if axis == "machine":
        return variant.text("machine") == name or (len(name) >= 6 and value.startswith(name))
    return value == name or natural(value) == natural(name)


def bouts(
    variants: Sequence[Variant],
    axis: str,
    name: Callable[[Variant], str],
    *,
    across: bool,
    freed: frozenset[str],
) -> list[Bout]:
    """Every set of sides, in the order of model, job, point, machine, settings.

    Settings tell sets apart; a side that nobody of equal settings stands against is set against
    the others all the same, for the comparison to say what differs.
    """
    fixed = [s for s in SETTINGS if s != axis and axis != "settings" and s not in freed]
    work = [f for f in ("model", "job", "point") if f != axis and (axis, f) != ("digest", "model")]
    work += [] if across else ["machine_id"]
    grounds: dict[tuple[str | None, ...], list[Variant]] = defaultdict(list)
    for variant in variants:
        grounds[tuple(_work(variant, field, axis) for field in work)].append(variant)
    found = []
    for ground in grounds.values():
        found += _bouts_of_ground(ground, axis, name, across=across, fixed=fixed)
    return sorted(
        found,
        key=lambda b: [natural(x) for x in (b.model, b.job, b.point, b.machine, b.settings)],
    )


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
        key = tuple(variant.text(field) for field in fixed)
        by_settings.setdefault(key, {}).setdefault(name(variant), []).append(variant)
    everyone: dict[str, list[Variant]] = defaultdict(list)
    for variant in ground:
        everyone[name(variant)].append(variant)
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
    if axis in ("experiment", "session"):
        shared = set()
    chosen = [_choose(name, variants, shared, axis, fixed) for name, variants in sides.items()]
    chosen.sort(key=lambda side: natural(side.name))
    first = chosen[0].variants[0]
    given = [(f, first.text(f)) for f in fixed if first.text(f) is not None]
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
        sides=tuple(chosen),
    )


def _choose(
    name: str,
    variants: Sequence[Variant],
    shared: set[tuple[str | None, str | None]],
    axis: str,
    fixed: Sequence[str],
) -> Side:
    """The newest session that all sides have, the newest state in it, unlabelled trials first."""
    pool = [v for v in variants if v.asked in shared] or list(variants)
    newest = max(pool, key=lambda v: v.age)
    pool = [v for v in pool if v.asked == newest.asked]
    states = {
        machine: _state(max(own, key=lambda v: v.age), axis, fixed)
        for machine, own in _by_machine(pool).items()
    }
    pool = [v for v in pool if _state(v, axis, fixed) == states[v.row["machine_id"]]]
    labels = Counter[str]()
    for variant in pool:
        labels[variant.flags] += variant.trials
    label = "" if "" in labels else labels.most_common(1)[0][0]
    taken = tuple(v for v in pool if v.flags == label)
    apart = Counter({flags: count for flags, count in labels.items() if flags != label})
    apart["measured earlier or in another state"] = sum(v.trials for v in variants) - labels.total()
    return Side(name, taken, +apart)


def _state(variant: Variant, axis: str, fixed: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(variant.text(f) for f in (*STATE, *fixed) if f != axis)


def _by_machine(variants: Iterable[Variant]) -> dict[object, list[Variant]]:
    found: dict[object, list[Variant]] = defaultdict(list)
    for variant in variants:
        found[variant.row["machine_id"]].append(variant)
    return found


def _work(variant: Variant, field: str, axis: str) -> str | None:
    """Jobs of one text each have a point of the job's own name: the same point to a job axis."""
    own = field == "point" and axis == "job" and variant.row["point"] == variant.row["job"]
    return "" if own else variant.text(field)


def _shown(variant: Variant) -> str:
    return variant.text("axis_value") or "not known"


def _machine_name(variant: Variant, ambiguous: bool) -> str:
    name, machine_id = variant.text("machine") or "", variant.text("machine_id") or ""
    return f"{name} ({machine_id[:16]})" if ambiguous else name or machine_id[:16]


def _hardware_class(variant: Variant, axis: str) -> str:
    """`(Apple M3 Ultra, 60 GPU cores)`, without what the axis says already."""
    cores = variant.text("gpu_cores")
    gpu = variant.text("gpu") if variant.text("gpu") != variant.text("chip") else None
    parts = [variant.text("chip") if axis != "chip" else None, gpu if axis != "gpu" else None]
    parts += [f"{cores} GPU cores" if cores and axis != "gpu_cores" else None]
    known = ", ".join(part for part in parts if part)
    return f"({known})" if known else ""


def implied(axis: str) -> frozenset[str]:
    return IMPLIED.get(axis, frozenset()) | {axis}
