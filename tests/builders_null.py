"""Trials as a machine might give them, for programs that ask how often a verdict is wrong.

Rates are log-normal: each trial has an effect of its own, its requests follow one another as an
AR(1) process, some are slow outliers, and a drift goes over the whole session. Nothing of a value
depends on the side it stands on but `effect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fleet.compare.designs import NO_FLOORS, Floors, PairEstimate, estimate_pair
from fleet.compare.sides import Side
from fleet.metrics.compared import COMPARED
from fleet.model.experiment import Repeats
from fleet.model.trial import Trial
from fleet.plan.expand import expand
from fleet.plan.plans import PlannedContrast as Pair
from fleet.plan.stopping import Progress, stopped
from fleet.query.variant import variant_of
from tests import builders_plan

DECODE = COMPARED["decode"]
Numbers = NDArray[np.float64]

TRIAL_SD = 0.02
REQUEST_SD = 0.01
REQUEST_PHI = 0.6
OUTLIERS = 0.04
REQUESTS = 10
DRIFT = 0.04
"""Of the speed, from the first to the last trial of a session."""

REPEATS = Repeats(least=5, most=12, half_width_percent=3.0)


@dataclass(frozen=True, slots=True)
class Session:
    """Trials of two cells on one machine, or of one cell on each of two."""

    a: Numbers
    """Rates of the trials, one row per data set, one column per block."""
    b: Numbers
    requests: tuple[Numbers, Numbers]
    """The logarithms of the single requests' rates, one more dimension."""


def trials(chance: Generator, sets: int, count: int) -> Numbers:
    """Logarithms of the requests' rates: data sets x trials x requests, without drift."""
    effect = chance.normal(0, TRIAL_SD, (sets, count, 1))
    step = REQUEST_SD * np.sqrt(1 - REQUEST_PHI**2)
    noise = np.empty((sets, count, REQUESTS))
    noise[..., 0] = chance.normal(0, REQUEST_SD, (sets, count))
    for request in range(1, REQUESTS):
        fresh = chance.normal(0, step, (sets, count))
        noise[..., request] = REQUEST_PHI * noise[..., request - 1] + fresh
    slow = chance.random((sets, count, REQUESTS)) < OUTLIERS
    logs: Numbers = effect + noise - slow * chance.uniform(0.05, 0.2, slow.shape)
    return logs


def in_blocks(
    chance: Generator, sets: int, blocks: int, *, drift: float = 0.0, effect: float = 0.0
) -> Session:
    """Two cells on one machine, in each block in random order."""
    first = chance.integers(0, 2, (sets, blocks))
    at = 2 * np.arange(blocks)
    return _session(chance, at + first, at + 1 - first, drift=drift, effect=effect)


def one_after_the_other(
    chance: Generator, sets: int, blocks: int, *, drift: float = 0.0
) -> Session:
    """All trials of the one cell, then all of the other: what no test can hint."""
    at = np.broadcast_to(np.arange(blocks), (sets, blocks))
    return _session(chance, at, at + blocks, drift=drift, effect=0.0)


def on_two_machines(
    chance: Generator, sets: int, blocks: int, *, drift: float = 0.0, effect: float = 0.0
) -> Session:
    """One cell on each of two machines, each of which drifts by itself."""
    at = 2 * np.broadcast_to(np.arange(blocks), (sets, blocks))
    return _session(chance, at, at, drift=drift, effect=effect)


def _session(
    chance: Generator, of_a: Numbers, of_b: Numbers, *, drift: float, effect: float
) -> Session:
    sets, blocks = of_a.shape
    logs = []
    for at, more in ((of_a, 0.0), (of_b, np.log1p(effect))):
        share = at / max(2 * blocks - 1, 1) - 0.5
        logs.append(trials(chance, sets, blocks) - (drift * share)[..., None] + more)
    rates = [100 * np.exp(np.median(side, axis=2)) for side in logs]
    return Session(rates[0], rates[1], (logs[0], logs[1]))


def spread() -> float:
    """Standard deviation between trials of a machine that does not drift."""
    logs = np.median(trials(np.random.default_rng(7), 20_000, 5), axis=2)
    return float(np.std(logs, ddof=1))


def sides(rates: tuple[Numbers, Numbers], *, machines: int, in_turn: bool) -> tuple[Side, Side]:
    """One data set as compare sees it: two sides of one machine, or of two."""
    spans = [("1", "2"), ("1", "2") if in_turn else ("3", "4")]
    return tuple(  # type: ignore[return-value]
        Side(name, (variant_of(_row(values, f"m{index % machines}", span)),), {})
        for index, (name, values, span) in enumerate(zip("ab", rates, spans, strict=True))
    )


def _row(values: Numbers, machine: str, span: tuple[str, str]) -> dict[str, object]:
    return {
        "machine_id": machine,
        "experiment": "null",
        "session": 0,
        "flags": "",
        "imported": False,
        "trials": len(values),
        "first_at": span[0],
        "last_at": span[1],
        "blocks": list(range(len(values))),
        DECODE.column: values.tolist(),
    }


def contrasts(
    session: Session, *, machines: int = 1, in_turn: bool = True, floors: Floors = NO_FLOORS
) -> Iterator[PairEstimate]:
    """What fleet makes of each data set."""
    for rates in zip(session.a, session.b, strict=True):
        a, b = sides(rates, machines=machines, in_turn=in_turn)
        yield estimate_pair(a, b, DECODE, floors=floors)


def alarms(found: Iterator[PairEstimate]) -> float:
    """Share of data sets in which the two sides are told apart."""
    told = [c.estimate is not None and c.estimate.p <= 0.05 for c in found]
    return sum(told) / len(told)


def until_known(session: Session) -> Iterator[tuple[bool, int]]:
    """(told apart at the end, after so many blocks), as `fleet submit` goes on or stops.

    The real stop rule, after each block: 5 to 12, until the ratio is known within 3 %.
    """
    plan = expand(
        builders_plan.request(settings={"num_batch": [128, 512]}, repeats=REPEATS),
        [builders_plan.machine(models=[builders_plan.model("tiny")])],
    )
    [pair], every = plan.contrasts, tuple(plan.trials())
    for a, b in zip(session.a, session.b, strict=True):
        for done in range(REPEATS.least, REPEATS.most + 1):
            found = estimate_pair(
                *sides((a[:done], b[:done]), machines=1, in_turn=True), DECODE, floors=NO_FLOORS
            ).estimate
            assert found is not None
            if not _goes_on(pair, every, done, found.half_width):
                yield found.p <= 0.05, done
                break


def _goes_on(pair: Pair, every: Sequence[Trial], done: int, width: float) -> bool:
    """The stop rule leaves another block to measure."""
    waiting = [trial for trial in every if trial.block >= done]
    unwanted = stopped(
        waiting,
        [pair],
        REPEATS,
        Progress(widths={pair.cells: width}, done_blocks=dict.fromkeys(pair.cells, done)),
    )
    return len(unwanted) < len(waiting)


SCENARIOS: Mapping[str, float] = {"no drift": 0.0, f"{DRIFT:.0%} drift": DRIFT}
