"""Ctrl-C, a coordinator that is killed, and a second one beside it: nothing lost, nothing twice."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.app.interrupts import interruptible, uninterrupted
from tests.builders_flow import Fleet, Running, experiment, machine, model, until

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(),
    reason="which processes are left is read from /proc",
)

BLOCKS = 4
SLOW = {"tiny": model(decode_tokens_per_s=200)}
"""A trial takes about half a second: most of a run is in the middle of one."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    machines = {"alpha": machine(models=SLOW), "beta": machine(memory_gb=128, models=SLOW)}
    fleet.write(experiment(machines, repeats=BLOCKS))
    yield fleet
    fleet.clear()


def running(fleet: Fleet, *words: str) -> Running:
    """A submit that has finished its first trial."""
    begun = fleet.start("submit", "configs/demo.yaml", *words)
    begun.wait_for("block 1  tiny")
    assert fleet.processes("fleet.worker") != []
    assert fleet.processes("fleet.engines.simulated") != []
    return begun


def stored(fleet: Fleet) -> set[str]:
    return {row["trial_id"] for row in fleet.rows("select trial_id from trials")}


def assert_the_rest_is_measured(fleet: Fleet, kept: set[str]) -> None:
    """Only what is missing is asked, and each trial is there once, from its first attempt."""
    begun = fleet.rows("select trial_id, started_at from speeds")
    rest = fleet("submit", "configs/demo.yaml")
    words = rf"\b{len(kept)} trials? (is|are) finished already, {2 * BLOCKS - len(kept)} to go"
    assert re.search(words, rest.err)
    assert rest.err.count(": block ") == 2 * BLOCKS - len(kept), rest.err
    rows = fleet.rows("select trial_id, fence, outcome from trials")
    assert len(rows) == len(stored(fleet)) == 2 * BLOCKS
    assert {(row["fence"], row["outcome"]) for row in rows} == {(0, "ok")}
    after = fleet.rows("select trial_id, started_at from speeds")
    assert all(row in after for row in begun), "a finished trial was measured again"
    assert fleet.spooled() == []
    assert fleet.processes() == []


def test_an_interrupt_keeps_what_is_finished(fleet: Fleet) -> None:
    begun = running(fleet)
    begun.interrupt()
    done = begun.end()
    assert done.code == 130
    assert "Traceback" not in done.err
    assert "type the same command again" in done.err
    assert fleet.processes() == []
    kept = stored(fleet)
    left = 2 * BLOCKS - len(kept)
    trials = "1 trial is" if len(kept) == 1 else f"{len(kept)} trials are"
    assert f"{trials} kept, {left} {'is' if left == 1 else 'are'} left" in done.err
    assert 0 < len(kept) < 2 * BLOCKS
    status = fleet("status", "demo").out
    assert status.startswith("demo   interrupted")
    assert "to continue: submit the same again" in status
    assert_the_rest_is_measured(fleet, kept)


def test_an_interrupt_before_anything_is_measured(fleet: Fleet) -> None:
    begun = fleet.start("submit", "configs/demo.yaml")
    begun.wait_for("results, ledger and spool")
    begun.interrupt()
    done = begun.end()
    assert done.code == 130
    assert "Traceback" not in done.err
    until(lambda: fleet.processes() == [])


def test_an_interrupted_query_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        raise RuntimeError("Query interrupted")  # DuckDB's words, as it raises them


STOPPING = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", STOPPING)
def test_what_must_not_be_interrupted_is_done_first(number: signal.Signals) -> None:
    done = []

    def stored_at_once() -> None:
        with uninterrupted():
            signal.raise_signal(number)
            done.append("stored and counted")

    # what runs behind a shell ignores SIGINT
    before = {each: signal.signal(each, signal.default_int_handler) for each in STOPPING}
    try:
        with pytest.raises(KeyboardInterrupt):
            stored_at_once()
        assert done == ["stored and counted"]
        with uninterrupted():
            done.append("again")
        assert {signal.getsignal(each) for each in STOPPING} == {signal.default_int_handler}
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_an_error_in_a_query_stays_one() -> None:
    with pytest.raises(RuntimeError, match="another"), interruptible():
        raise RuntimeError("another")


def test_a_killed_coordinator_loses_no_result(fleet: Fleet) -> None:
    """It is stopped first: the workers go on, and what they finish stays with them."""
    begun = running(fleet)
    os.kill(begun.process.pid, signal.SIGSTOP)
    until(lambda: len(fleet.spooled()) >= 3)
    os.kill(begun.process.pid, signal.SIGKILL)
    assert begun.end().code == -signal.SIGKILL
    until(lambda: fleet.processes() == [])
    kept, spooled = stored(fleet), {path.stem.rsplit("-", 1)[0] for path in fleet.spooled()}
    assert len(spooled - kept) >= 2, "nothing was under way when it died"
    status = fleet("status").out
    assert "its coordinator ended without a message" in status
    assert "to continue: submit the same again" in status
    began = {path.stem: path.read_bytes() for path in fleet.spooled()}
    assert_the_rest_is_measured(fleet, kept)
    for row in fleet.rows("select attempt_id, zero_ns from trials"):
        if row["attempt_id"] in began:
            assert f'"zero_ns":{row["zero_ns"]},'.encode() in began[row["attempt_id"]]


def test_one_experiment_is_measured_by_one_submit(fleet: Fleet) -> None:
    begun = running(fleet, "--repeats", "100")
    second = fleet("submit", "configs/demo.yaml", "--repeats", "100", code=2)
    assert "demo is being measured already" in second.err
    assert "fleet cancel demo" in second.err
    assert second.out == ""
    assert begun.process.poll() is None, "the first one goes on"
    assert fleet("status").out.startswith("demo   running")
    assert "demo is stopping" in fleet("cancel", "demo").out
    done = begun.end()
    assert (done.code, "Traceback" in done.err) == (130, False)
    assert fleet("cancel", "demo").out == "demo is not running\n"
