"""A worker and the hours of its machine: held, then begun; dropped, stopped, or behind another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from fleet import wiring
from fleet.exclusive import MachineLock
from fleet.model.event import Event, Finished, Held, Started
from fleet.model.experiment import SimulatedEngine
from fleet.model.gates import Gates
from fleet.model.hours import DAY_MIN, Hours
from fleet.model.script import MachineScript, ScriptedModel
from fleet.owner.hours import minute_of_day
from fleet.units import NS_PER_S
from fleet.worker import NodeWorker
from tests import builders

MakeWorker = Callable[[Callable[[], Hours | None]], NodeWorker]
ATTEMPTS = [builders.attempt(block=block, gates=Gates(policy="record")) for block in range(2)]
TINY = ScriptedModel(prefill_tokens_per_s=20_000, decode_tokens_per_s=2_000, load_s=0.01)
SCRIPT = MachineScript(chip="Test", memory_gb=16, gpu_memory_mb=8192, models={"tiny-llama": TINY})


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> builders.SteppedClock:
    monkeypatch.setenv("FLEET_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fleet.worker.node_worker.awake", nullcontext)
    return builders.SteppedClock()


@pytest.fixture
def worker(tmp_path: Path, clock: builders.SteppedClock) -> Iterator[MakeWorker]:
    """Make the worker of a scripted machine with these hours."""
    engine = SimulatedEngine(kind="simulated", machines={"laptop": SCRIPT})
    spec = wiring.WorkerSpec(engine=engine, name="laptop", state=str(tmp_path / "store"))
    with ExitStack() as workers:

        def make(hours: Callable[[], Hours | None]) -> NodeWorker:
            node = replace(wiring.node(spec, tmp_path / "store"), hours=hours)
            return workers.enter_context(closing(NodeWorker(spec, clock=clock, node=node)))

        yield make


def in_two_hours(clock: builders.SteppedClock) -> Hours:
    now = minute_of_day(clock.unix_ns() / NS_PER_S)
    return Hours((now + 120) % DAY_MIN, (now + 180) % DAY_MIN)


def kinds(events: Iterator[Event]) -> list[type]:
    return [type(event) for event in events]


def test_the_first_is_held_and_the_next_follows_it(
    worker: MakeWorker, clock: builders.SteppedClock
) -> None:
    hours = in_two_hours(clock)
    events = list(worker(lambda: hours).run(ATTEMPTS))
    assert kinds(iter(events)) == [Held, *[Started, Finished] * 2]
    assert isinstance(events[0], Held)
    assert events[0].attempt == ATTEMPTS[0]
    assert f"measured here only {hours}" in events[0].why
    assert 119 * 60 < clock.now_ns / NS_PER_S <= 120 * 60


def test_one_that_is_dropped_while_it_is_held_ends_the_wait(
    worker: MakeWorker, clock: builders.SteppedClock
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
    worker: MakeWorker, clock: builders.SteppedClock
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
    worker: MakeWorker, clock: builders.SteppedClock
) -> None:
    """They ended meanwhile; the machine is another's to measure while this one waits for them."""
    hours, other = in_two_hours(clock), threading.Event()
    made = worker(lambda: hours if other.is_set() else None)
    machine_id = made.look().machine_id
    lock = MachineLock(machine_id)
    assert lock.take()
    run = made.run(ATTEMPTS[:1])
    waits = next(run)
    assert isinstance(waits, Held)
    assert waits.why == "waiting: another fleet is measuring on this machine"
    other.set()
    threading.Timer(0.05, lock.release).start()
    assert isinstance(next(run), Held)
    again = MachineLock(machine_id)
    assert again.take(), "it waits without the machine's lock"
    again.release()
    assert kinds(run) == [Started, Finished]
