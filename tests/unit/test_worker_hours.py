"""A worker and the hours of its machine: held, then begun; dropped, stopped, or behind another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import wiring
from fleet.exclusive import MachineLock
from fleet.model.event import Event, Finished, Held, Started
from fleet.model.experiment import EmbeddedEngine
from fleet.model.gates import Gates
from fleet.model.hours import DAY_MIN, Hours
from fleet.settings.hours import minute_of_day
from fleet.units import NS_PER_S
from fleet.worker import NodeWorker
from tests import builders
from tests.builders_gates import ready

ATTEMPTS = [builders.attempt(block=block, gates=Gates(policy="record")) for block in range(2)]
HERE = "this-machine"


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> builders.SteppedClock:
    monkeypatch.setenv("FLEET_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fleet.worker.awake", nullcontext)
    monkeypatch.setattr("fleet.worker.run_trial", lambda attempt, _: builders.result(attempt))
    return builders.SteppedClock()


Hourly = Callable[[], Hours | None]


@pytest.fixture
def worker(
    tmp_path: Path, clock: builders.SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Hourly], NodeWorker]:
    """Makes a worker with these hours. It measures nothing: each trial is ok at once."""
    spec = wiring.WorkerSpec(engine=EmbeddedEngine(kind="embedded"), state=str(tmp_path / "store"))
    node = replace(wiring.node(spec, tmp_path), machine_id=HERE, look=ready)

    def make(hours: Hourly) -> NodeWorker:
        monkeypatch.setattr(wiring, "node", lambda *_: replace(node, hours=hours))
        return NodeWorker(spec, clock=clock)

    return make


def in_two_hours(clock: builders.SteppedClock) -> Hours:
    now = minute_of_day(clock.unix_ns() / NS_PER_S)
    return Hours((now + 120) % DAY_MIN, (now + 180) % DAY_MIN)


def kinds(events: Iterator[Event]) -> list[type]:
    return [type(event) for event in events]


def test_the_first_is_held_and_the_next_follows_it(
    worker: Callable[[Hourly], NodeWorker], clock: builders.SteppedClock
) -> None:
    hours = in_two_hours(clock)
    events = list(worker(lambda: hours).run(ATTEMPTS))
    assert kinds(iter(events)) == [Held, *[Started, Finished] * 2]
    assert isinstance(events[0], Held)
    assert events[0].attempt == ATTEMPTS[0]
    assert f"measured here only {hours}" in events[0].why
    assert 119 * 60 < clock.now_ns / NS_PER_S <= 120 * 60


def test_one_that_is_dropped_while_it_is_held_ends_the_wait(
    worker: Callable[[Hourly], NodeWorker], clock: builders.SteppedClock
) -> None:
    hours, looks = in_two_hours(clock), iter(range(99))

    def asked() -> Hours:
        if next(looks, 0) == 5:
            made.drop([attempt.trial.trial_id for attempt in ATTEMPTS])
        return hours

    made = worker(asked)
    assert kinds(made.run(ATTEMPTS)) == [Held]
    assert clock.now_ns < 60 * NS_PER_S


def test_a_stop_ends_it_and_what_is_dropped_is_not_waited_for(
    worker: Callable[[Hourly], NodeWorker], clock: builders.SteppedClock
) -> None:
    hours = in_two_hours(clock)
    made = worker(lambda: hours)
    made.drop([ATTEMPTS[0].trial.trial_id])
    run = made.run(ATTEMPTS)
    held = next(run)
    assert isinstance(held, Held)
    assert held.attempt == ATTEMPTS[1]
    made.stop()
    assert list(run) == []


def test_after_another_fleet_s_trial_the_hours_are_asked_again(
    worker: Callable[[Hourly], NodeWorker], clock: builders.SteppedClock
) -> None:
    """They ended meanwhile; the machine is another's to measure while this one waits for them."""
    hours, other = in_two_hours(clock), threading.Event()
    made = worker(lambda: hours if other.is_set() else None)
    lock = MachineLock(HERE)
    assert lock.take()
    run = made.run(ATTEMPTS[:1])
    waits = next(run)
    assert isinstance(waits, Held)
    assert waits.why == "waits: another fleet measures on this machine"
    other.set()
    threading.Timer(0.05, lock.release).start()
    assert isinstance(next(run), Held)
    mine = MachineLock(HERE)
    assert mine.take(), "it waits without the machine's lock"
    mine.release()
    assert kinds(run) == [Started, Finished]
