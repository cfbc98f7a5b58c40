"""Faults of scripted machines and of workers, with the whole program around them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.builders_flow import REQUESTS_PER_TRIAL, Fleet, experiment, machine, model, until

TRIALS = "select machine, model, block, fence, outcome, reason from trials order by all"


def test_a_stream_that_breaks_is_a_failed_row_and_the_next_trial_goes_on(fleet: Fleet) -> None:
    breaks = {"kind": "die_mid_stream", "request": REQUESTS_PER_TRIAL + 2}
    fleet.write(experiment({"alpha": machine(breaks)}, repeats=3))
    done = fleet("submit", "configs/demo.yaml")
    assert done.err.count("failed: stream_broken") == 1
    assert [tuple(row.values())[2:] for row in fleet.rows(TRIALS)] == [
        (0, 0, "ok", None),
        (1, 0, "failed", "stream_broken"),
        (1, 1, "ok", None),
        (2, 0, "ok", None),
    ]
    blocks = [line.split()[2] for line in done.err.splitlines() if line.startswith("alpha: block")]
    assert blocks == ["1", "2", "3", "2"], "the queue goes on before it is tried again"
    [broken] = fleet.rows("from requests where error_reason is not null")
    assert broken["error_reason"] == "stream_broken"
    assert broken["output_duration_ns"] is None, "a failure turns into no number"
    [cell] = fleet.rows("select trials from cells where point = 'tg128'")
    assert cell["trials"] == 3
    assert "3 done" in fleet("status").out


def test_a_model_that_does_not_fit_fails_and_the_others_are_measured(fleet: Fleet) -> None:
    fault = {"kind": "out_of_memory", "model": "big"}
    alpha = machine(fault, models={"tiny": model(), "big": model()})
    fleet.write(experiment({"alpha": alpha}, models=["tiny", "big"], repeats=1))
    done = fleet("submit", "configs/demo.yaml", code=1)
    assert [tuple(row.values())[1:] for row in fleet.rows(TRIALS)] == [
        ("big", 0, 0, "failed", "out_of_memory"),
        ("tiny", 0, 0, "ok", None),
    ], "a terminal failure is not tried again"
    assert "tiny" in done.out
    status = fleet("status").out
    assert "demo   done, with failures" in status
    assert "1 failed     " in status
    assert "out_of_memory: " in status
    assert "submit with --again" in status
    again = fleet("submit", "configs/demo.yaml", code=1)
    assert "2 trials are finished already, 0 to go" in again.err
    assert "nothing to do" not in again.err, "what failed was asked for, and is not there"
    assert again.err.splitlines()[-1] == (
        "1 of 2 trials asked for are missing (2 = 1 done + 1 failed); to continue: "
        "fleet submit configs/demo.yaml --again    (once the cause is removed)"
    )


def test_two_models_of_one_name_are_not_compared(fleet: Fleet) -> None:
    others = {"tiny": model(digest="ab" * 32)}
    machines = {"alpha": machine(), "beta": machine(models=others), "gamma": machine()}
    fleet.write(experiment(machines))
    done = fleet("submit", "configs/demo.yaml", code=2)
    assert "tiny is not the same model on every machine" in done.err
    assert "beta has abababababab" in done.err
    assert done.err.splitlines()[-1] == "  on beta: ollama pull tiny"
    assert done.out == ""
    assert fleet.parquet() == []
    assert "block 1" not in done.err


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="workers are found in /proc")
def test_a_worker_that_is_killed_loses_its_machine_alone(fleet: Fleet) -> None:
    slow = {"tiny": model(decode_tokens_per_s=200)}
    machines = {"alpha": machine(models=slow), "beta": machine(models=slow)}
    fleet.write(experiment(machines, repeats=6))
    running = fleet.start("submit", "configs/demo.yaml")
    running.wait_for("block 1  tiny", times=2)
    os.kill(fleet.processes("fleet.worker")[0], signal.SIGKILL)
    done = running.end()
    assert done.code == 1, "what could not be measured is said in the exit code too"
    [lost] = [line.split(":")[0] for line in done.err.splitlines() if ": lost: " in line]
    assert f"{lost}: lost: its worker process ended (signal 9)" in done.err
    other = ({"alpha", "beta"} - {lost}).pop()
    counts = "select machine, count(*) as n from trials where outcome = 'ok' group by 1"
    measured = {row["machine"]: row["n"] for row in fleet.rows(counts)}
    assert measured[other] == 6
    assert measured[lost] < 6
    states = fleet("status", "demo", "--json").json()[0]["states"]
    reasons = {(row["machine"], row["state"]): row["reason"] for row in states}
    assert reasons[lost, "cancelled"] == "its worker process ended (signal 9)"
    assert reasons[other, "done"] == ""
    assert "to continue: submit the same again" in fleet("status").out
    until(lambda: fleet.processes() == [])
    rest = fleet("submit", "configs/demo.yaml")
    assert f"{other}: block" not in rest.err
    assert fleet.rows("select count(distinct trial_id) as n from speeds") == [{"n": 12}]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="workers are found in /proc")
def test_a_worker_that_dies_before_anything_is_stored_says_so(fleet: Fleet) -> None:
    slow = machine(models={"tiny": model(decode_tokens_per_s=5)})
    fleet.write(experiment({"alpha": slow}, repeats=1))
    running = fleet.start("submit", "configs/demo.yaml")
    until(lambda: '"running"' in fleet("status", "--json", code=None).out)
    os.kill(min(fleet.processes("fleet.worker")), signal.SIGKILL)
    done = running.end()
    assert done.code == 1
    assert "alpha: lost: its worker process ended (signal 9)" in done.err
    assert "nothing was measured: see the failures above" in done.err.splitlines()[-1]
    assert done.out == ""
