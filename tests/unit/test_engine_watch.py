"""An engine that does not answer is waited for, and after a minute the machine is given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from fleet.errors import EngineBusy, EngineUnreachable, Interrupted, TrialError
from fleet.ports import Engine
from fleet.runner.answering import LONGEST_WAIT_S, PATIENCE_S, EngineWatch
from fleet.runner.visit import Visit
from fleet.units import NS_PER_S
from tests.builders import SteppedClock, trial

AWAY = EngineUnreachable("nothing answers at port 1", "ollama serve")


@dataclass
class Silent:
    """It answers from a moment on; `asked_s` are the moments at which somebody asked."""

    clock: SteppedClock
    from_s: float
    problem: TrialError = AWAY
    asked_s: list[float] = field(default_factory=list)

    def resident(self) -> list[object]:
        now_s = self.clock.monotonic_ns() / NS_PER_S
        self.asked_s.append(now_s)
        if now_s < self.from_s:
            raise self.problem
        return []


def visit(engine: Silent, *, own_engine: bool = False) -> Visit:
    return Visit(trial=trial(), engine=cast(Engine, engine), own_engine=own_engine)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def watch(clock: SteppedClock) -> EngineWatch:
    return EngineWatch(clock, threading.Event())


def test_an_engine_that_answers_costs_one_question_and_no_time(
    clock: SteppedClock, watch: EngineWatch
) -> None:
    engine = Silent(clock, from_s=0)
    assert list(watch.wait(visit(engine))) == []
    assert engine.asked_s == [0]
    assert watch.given_up is None


def test_one_that_is_away_for_twelve_seconds_is_waited_for(
    clock: SteppedClock, watch: EngineWatch
) -> None:
    engine = Silent(clock, from_s=12)
    assert list(watch.wait(visit(engine))) == [
        "waiting, at most 60 s: nothing answers at port 1"
    ], "said once, however often it looks"
    assert engine.asked_s == [0, 1, 3, 7, 15], "each wait is twice as long as the one before"
    assert watch.given_up is None


def test_one_that_stays_away_is_given_up_and_asked_anew_by_the_next_attempt(
    clock: SteppedClock, watch: EngineWatch
) -> None:
    engine = Silent(clock, from_s=PATIENCE_S + 1)
    with pytest.raises(EngineUnreachable, match="port 1"):
        list(watch.wait(visit(engine)))
    assert engine.asked_s[-1] == PATIENCE_S, "the last look is at the end of the patience"
    steps = [b - a for a, b in zip(engine.asked_s, engine.asked_s[1:], strict=False)]
    assert max(steps) == LONGEST_WAIT_S
    assert str(watch.given_up) == str(
        EngineUnreachable("nothing answers at port 1", "ollama serve")
    )

    engine.from_s = 0
    assert list(watch.wait(visit(engine))) == []
    assert watch.given_up is None


def test_a_refusal_is_an_answer(clock: SteppedClock, watch: EngineWatch) -> None:
    engine = Silent(clock, from_s=12, problem=EngineBusy("too many requests"))
    assert list(watch.wait(visit(engine))) == []
    assert engine.asked_s == [0]


def test_an_engine_of_the_trials_own_is_not_there_yet(
    clock: SteppedClock, watch: EngineWatch
) -> None:
    engine = Silent(clock, from_s=1000)
    assert list(watch.wait(visit(engine, own_engine=True))) == []
    assert engine.asked_s == []


def test_a_stop_ends_the_wait(clock: SteppedClock) -> None:
    stop = threading.Event()
    waiting: Iterator[str] = EngineWatch(clock, stop).wait(visit(Silent(clock, from_s=12)))
    next(waiting)
    stop.set()
    with pytest.raises(Interrupted, match="port 1"):
        next(waiting)
