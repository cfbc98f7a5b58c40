"""Judges the A/A control of an experiment, beside the verdicts that stand on it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.compare.designs import Floor, FloorKey, Floors, floor_key
from fleet.compare.matchups import Matchup
from fleet.metrics.metric import Metric
from fleet.stats.ratios import holm
from fleet.stats.verdict import SIGNIFICANT, show_percent

Gave = Literal["same", "not resolved", "not itself"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One cell against itself, as side a and side b of each block."""

    machine: str
    cell: str
    """On the axis of the comparison, where that is a setting: `default`."""
    ratio: float
    low: float
    high: float
    trials: int
    """Both sides together."""
    gave: Gave
    """not itself: the two differ although nothing does."""

    def __str__(self) -> str:
        what = f"{self.cell} against {self.cell}" if self.cell else "the same cell twice"
        seen = f"{self.ratio:.3f} x, {self.low:.3f} to {self.high:.3f}, n {self.trials}"
        return f"control on {self.machine} ({what}): {seen}: {self.gave}"


def controls(
    works: Sequence[tuple[Matchup, Metric]], floors: Floors, axis: str, same_within: float
) -> list[tuple[Control, ...]]:
    """Judge the controls of each piece of work; p is adjusted (Holm) over all of them together."""
    of_works = [dict(_floors_of(matchup, metric, floors)) for matchup, metric in works]
    every = {key: floor for each in of_works for key, (_, floor) in each.items()}
    adjusted = dict(zip(every, holm([floor.p for floor in every.values()]), strict=True))
    return [
        tuple(
            _control(machine, floor, axis, adjusted[key], same_within)
            for key, (machine, floor) in each.items()
        )
        for each in of_works
    ]


def control_lines(judged: Sequence[Control]) -> list[str]:
    """Say in one sentence what all gave, and in one more each machine that is not itself."""
    if not judged:
        return []
    same = sum(each.gave == "same" for each in judged)
    off: dict[str, float] = {}
    for each in judged:
        if each.gave == "not itself":
            off[each.machine] = max(off.get(each.machine, 0.0), abs(each.ratio - 1))
    lines = [
        "control, the same cell measured twice more in the same blocks: "
        f"{same} of {len(judged)} same; no verdict rests on less noise than these pairs had"
    ]
    return lines + [
        f"{machine} differed from itself by {show_percent(share)}: "
        "trust no difference there that is not much larger"
        for machine, share in off.items()
    ]


def _floors_of(
    matchup: Matchup, metric: Metric, floors: Floors
) -> Iterator[tuple[FloorKey, tuple[str, Floor]]]:
    for side in matchup.sides:
        for variant in side.variants:
            key = floor_key(side, variant.machine_id, metric)
            if key in floors:
                yield key, (variant.text("machine") or "", floors[key])


def _control(
    machine: str, floor: Floor, axis: str, p_adjusted: float, same_within: float
) -> Control:
    return Control(
        machine=machine,
        cell=dict(part.split("=", 1) for part in floor.settings.split()).get(axis, ""),
        ratio=floor.ratio,
        low=floor.ratio_low,
        high=floor.ratio_high,
        trials=floor.n,
        gave=_gave(floor, p_adjusted, same_within),
    )


def _gave(floor: Floor, p_adjusted: float, same_within: float) -> Gave:
    if p_adjusted <= SIGNIFICANT:
        return "not itself"
    within = floor.ratio_low >= 1 / (1 + same_within) and floor.ratio_high <= 1 + same_within
    return "same" if within else "not resolved"
