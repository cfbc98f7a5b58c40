"""How far a machine is from itself: the noise floor out of A/A runs.

The unit is the trial. All figures are of natural logarithms, so they are shares: 0.015 is 1.5 %.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import duckdb

from fleet.compare.designs import FloorKey
from fleet.compare.estimates import CONFIDENCE, Estimate, holm, paired, t_quantile, welch
from fleet.compare.reader import Row, add_views, has, rows
from fleet.compare.views import question

Key = TypeVar("Key", bound=tuple[str, ...])

METRICS = {"prefill": "prefill_tokens_per_s", "decode": "decode_tokens_per_s"}

LEAST_BLOCKS = 5
LEAST_TRIALS = 2 * LEAST_BLOCKS
"""From fewer the interval of a standard deviation is wider than a factor of two."""

ALARM = 0.05
"""Of all intervals of one run together, by Holm's procedure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """One metric of one machine."""

    sd_log: float
    """Run-to-run standard deviation of the log of trial medians."""
    low: float
    high: float
    """Its 95 % interval, from the chi-square distribution."""
    n: int
    """Trials, both sides together."""
    ratio: float
    """Side b to side a, paired by block: nothing differs, so it should be 1."""
    ratio_low: float
    ratio_high: float
    p: float
    why: str = ""
    """What may lie behind a ratio off 1, as far as the trials themselves show it."""
    settings: str = ""
    """Of the cell that was measured twice, where a whole run is asked."""

    def could_see(self, repeats: int) -> float:
        """Smallest relative difference seen in 80 % of comparisons, so many trials a side."""
        df = 2 * repeats - 2
        reach = t_quantile((1 + CONFIDENCE) / 2, df) + t_quantile(0.8, df)
        return math.expm1(reach * self.sd_log * math.sqrt(2 / repeats))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseTrial:
    block: int
    position: int
    side: str
    value: float
    """Tokens per second."""
    submission: str = ""


@dataclass(slots=True, kw_only=True)
class NoiseRun:
    """The A/A trials of one metric of one machine, all of one cell, point and session."""

    experiment: str
    session: int
    machine_id: str
    machine: str
    model: str
    job: str
    point: str
    settings: str
    digest: str
    engine_version: str
    metric: str
    control: bool
    """Beside the cells of an experiment, not a run by itself."""
    last_at: datetime | None = None
    trials: list[NoiseTrial] = field(default_factory=list)

    def floor(self) -> NoiseFloor | None:
        """None below LEAST_TRIALS, or below two whole blocks."""
        found = noise_floor(self.trials)
        return None if found is None else replace(found, settings=self.settings)

    @property
    def key(self) -> FloorKey:
        """As `designs.floor_key` looks for it."""
        if not self.control:
            return self.machine_id, self.metric
        work = (self.experiment, str(self.session), self.model, self.job, self.point)
        return (self.machine_id, self.metric, *work)


def noise_floors(con: duckdb.DuckDBPyConnection) -> dict[FloorKey, NoiseFloor]:
    """The latest long enough run of each machine, and each control for its own experiment."""
    floors = ((run.key, run.floor()) for run in noise_runs(con))
    return {key: floor for key, floor in floors if floor is not None}


def noise_runs(
    con: duckdb.DuckDBPyConnection, experiment: str | None = None, session: int | None = None
) -> list[NoiseRun]:
    """All of them, or those of one experiment and session; the latest last."""
    if not has(con, "role", "noise"):
        return []
    add_views(con, "noise_trials")
    runs: dict[tuple[object, ...], NoiseRun] = {}
    for row in rows(con, question("noise")):
        if experiment in (None, row["experiment"]) and session in (None, row["session"]):
            for metric, column in METRICS.items():
                if row[column] is not None:
                    _add(runs, row, metric, column)
    return sorted(runs.values(), key=lambda run: (str(run.last_at), run.machine, run.metric))


def noise_floor(trials: Sequence[NoiseTrial]) -> NoiseFloor | None:
    pairs = list(_pairs(trials))
    n = len(trials)
    estimate = paired([a.value for a, _ in pairs], [b.value for _, b in pairs])
    if estimate is None or n < LEAST_TRIALS:
        return None
    logs = [math.log(trial.value) for trial in trials]
    mean = math.fsum(logs) / n
    square = math.fsum((value - mean) ** 2 for value in logs)
    tail = (1 - CONFIDENCE) / 2
    return NoiseFloor(
        sd_log=math.sqrt(square / (n - 1)),
        low=math.sqrt(square / chi2_quantile(1 - tail, n - 1)),
        high=math.sqrt(square / chi2_quantile(tail, n - 1)),
        n=n,
        ratio=estimate.ratio,
        ratio_low=estimate.low,
        ratio_high=estimate.high,
        p=estimate.p,
        why=_why(trials, pairs),
    )


def untrusted(floors: Mapping[Key, NoiseFloor]) -> set[Key]:
    """Those whose two sides differ although nothing does.

    Of many 95 % intervals some miss 1 by chance alone, so the alarm is held at 5 % for all of
    them together (Holm 1979).
    """
    adjusted = holm([floor.p for floor in floors.values()])
    return {key for key, p in zip(floors, adjusted, strict=True) if p < ALARM}


def chi2_quantile(probability: float, df: float) -> float:
    """The value below which `probability` (0 < p < 1) of the chi-square distribution lies."""
    low, high = 0.0, df + 10.0
    while chi2_cdf(high, df) < probability:
        high *= 2
    while high - low > 1e-12 * high:  # bisection: slow, and cannot fail
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if chi2_cdf(middle, df) < probability else (low, middle)
    return (low + high) / 2


def chi2_cdf(x: float, df: float) -> float:
    """Regularised incomplete gamma function P(df/2, x/2) (Numerical Recipes, 3rd edition, 6.2)."""
    a, half = df / 2, x / 2
    if half <= 0:
        return 0.0
    front = math.exp(a * math.log(half) - half - math.lgamma(a))
    if half < a + 1:
        return front * _series(a, half)
    return 1 - front * _fraction(a, half)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    step = a
    while term > total * 1e-16:
        step += 1
        term *= x / step
        total += term
    return total


def _fraction(a: float, x: float) -> float:
    """Lentz's continued fraction of the upper tail."""
    b = x + 1 - a
    c, d = math.inf, 1 / b
    fraction = d
    for i in range(1, 10_000):
        factor = -i * (i - a)
        b += 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return fraction


def _add(runs: dict[tuple[object, ...], NoiseRun], row: Row, metric: str, column: str) -> None:
    names = ("experiment", "session", "machine_id", "machine", "model", "job", "point")
    told = {name: row[name] for name in (*names, "settings", "digest", "engine_version", "control")}
    key = (*told.values(), metric)
    run = runs.setdefault(key, NoiseRun(**told, metric=metric))  # type: ignore[arg-type]
    at = row["started_at"]
    run.last_at = at if isinstance(at, datetime) else None
    run.trials.append(
        NoiseTrial(
            block=int(str(row["block"])),
            position=int(str(row["position"])),
            side=str(row["side"]),
            value=float(str(row[column])),
            submission=str(row["submission"]),
        )
    )


def _pairs(trials: Iterable[NoiseTrial]) -> Iterable[tuple[NoiseTrial, NoiseTrial]]:
    """(a, b) of each block that has both; first those that one submission measured."""
    left: dict[tuple[int, str], list[NoiseTrial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda each: (each.block, each.submission, each.position)):
        left[trial.block, trial.side].append(trial)
    for block in sorted({trial.block for trial in trials}):
        of_a, of_b = left[block, "a"], left[block, "b"]
        for a in list(of_a):
            b = next((each for each in of_b if each.submission == a.submission), None)
            if b is not None:
                of_a.remove(a)
                of_b.remove(b)
                yield a, b
        yield from zip(of_a, of_b, strict=False)


def _why(trials: Sequence[NoiseTrial], pairs: Sequence[tuple[NoiseTrial, NoiseTrial]]) -> str:
    """The order within the blocks, or a drift over them; empty where neither shows."""
    ordered = [sorted(pair, key=lambda trial: trial.position) for pair in pairs]
    second = paired([one.value for one, _ in ordered], [two.value for _, two in ordered])
    if second is not None and _is_off(second):
        return f"the second trial of a block is {_change(second)} the first"
    half = sorted(trials, key=lambda trial: trial.position)
    first, last = half[: len(half) // 2], half[len(half) // 2 :]
    drift = welch([trial.value for trial in first], [trial.value for trial in last])
    if drift is not None and _is_off(drift):
        return f"it drifts: the second half of the trials is {_change(drift)} the first"
    return ""


def _is_off(estimate: Estimate) -> bool:
    return estimate.p < ALARM / 2


def _change(estimate: Estimate) -> str:
    percent = 100 * abs(estimate.ratio - 1)
    return f"{percent:.1f} % {'faster' if estimate.ratio > 1 else 'slower'} than"
