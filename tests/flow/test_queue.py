"""The queue as one sees it on one machine: starting, waiting, missing, never done over a gap."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment, machine, model, until

FOUND_IN_PROC = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="workers are found in /proc"
)


def state(fleet: Fleet, name: str = "demo") -> Any:
    statuses = fleet("status", "--json").json()
    return next((each for each in statuses if each["experiment"] == name), None)


def slow(**changes: Any) -> dict[str, Any]:
    return machine(models={"tiny": model(decode_tokens_per_s=20)}, **changes)


@FOUND_IN_PROC
def test_a_submit_is_in_the_ledger_before_its_machines_answer(fleet: Fleet) -> None:
    """Its worker is stopped, so that nothing answers; cancel ends it all the same."""
    file = fleet.write(experiment({"alpha": slow()}))
    begun = fleet.start("submit", file)
    until(lambda: fleet.processes("fleet.worker"))
    os.kill(fleet.processes("fleet.worker")[0], signal.SIGSTOP)
    until(lambda: state(fleet))
    told = state(fleet)
    assert (told["state"], told["alive"], told["trials_asked"]) == ("starting", True, None)
    assert told["command"] == f"fleet submit {file}"
    assert "@" in told["submitter"]
    [alpha] = told["machines"]
    assert (alpha["machine"], alpha["reason"]) == ("alpha", "not looked at yet")
    assert fleet("status", "demo").out.startswith("demo   starting   submitted ")
    assert "demo is stopping" in fleet("cancel", "demo").out
    done = begun.end()
    assert (done.code, "Traceback" in done.err) == (130, False)
    assert "interrupted while it was starting: nothing was measured" in done.err
    status = fleet("status", "demo").out
    assert status.startswith("demo   interrupted")
    assert status.rstrip().endswith(f"to continue: fleet submit {file}")


@FOUND_IN_PROC
def test_a_coordinator_that_dies_while_it_starts_leaves_word(fleet: Fleet) -> None:
    file = fleet.write(experiment({"alpha": machine()}))
    begun = fleet.start("submit", file)
    until(lambda: fleet.processes("fleet.worker"))
    [worker] = fleet.processes("fleet.worker")
    os.kill(worker, signal.SIGSTOP)
    until(lambda: state(fleet))
    os.kill(begun.process.pid, signal.SIGKILL)
    os.kill(worker, signal.SIGCONT)
    assert begun.end().code == -signal.SIGKILL
    status = fleet("status", "demo").out
    assert "its coordinator ended without a message while it was starting" in status
    assert status.rstrip().endswith(f"to continue: fleet submit {file}")
    assert fleet("cancel", "demo").out == "demo is not running\n"
    assert fleet("submit", file).code == 0
    assert fleet("status", "demo").out.startswith("demo   done")


def test_the_second_of_two_submits_waits_and_both_measure_all(fleet: Fleet) -> None:
    first = fleet.write(experiment({"alpha": machine(), "beta": slow()}, repeats=3))
    one = fleet.start("submit", first)
    one.wait_for("about")  # it keeps its machines until beta has measured for twenty seconds
    other = experiment({"beta": machine(), "gamma": machine()}, name="other", repeats=2)
    two = fleet.start("submit", fleet.write(other, "other"))
    two.wait_for("waits: beta has been measuring demo since ")
    told = {row["machine"]: row["state"] for row in state(fleet, "other")["machines"]}
    assert told == {"beta": "busy", "gamma": "planned"}, "gamma waits with it, and is not measured"
    assert [each.end().code for each in (one, two)] == [0, 0]
    assert two.err.count("waits: ") == 1
    assert "all machines are free now: work begins" in two.err
    counts = "select experiment, count(*) as n from trials where outcome = 'ok' group by all"
    assert {row["experiment"]: row["n"] for row in fleet.rows(counts)} == {"demo": 6, "other": 4}
    for name, asked in (("demo", 6), ("other", 4)):
        account = state(fleet, name)["account"]
        assert (account["asked"], account["done"], account["missing"]) == (asked, asked, 0)


def test_a_submit_that_waits_ends_at_ctrl_c(fleet: Fleet) -> None:
    one = fleet.start("submit", fleet.write(experiment({"alpha": slow()}, repeats=9)))
    one.wait_for("about")
    two = fleet.start("submit", fleet.write(experiment({"alpha": slow()}, name="other"), "other"))
    two.wait_for("waits: alpha has been measuring demo since ")
    two.interrupt()
    done = two.end()
    assert (done.code, "Traceback" in done.err) == (130, False)
    assert fleet("status", "other").out.startswith("other   interrupted")
    one.interrupt()
    assert one.end().code == 130


@FOUND_IN_PROC
def test_what_a_lost_machine_lacks_is_missing_until_it_is_measured(fleet: Fleet) -> None:
    """Nothing is said to be done meanwhile, and less is asked for without hiding it."""
    machines = {name: machine(models={"tiny": model(decode_tokens_per_s=60)}) for name in "ab"}
    file = fleet.write(experiment(machines, repeats=3))
    begun = fleet.start("submit", file)
    begun.wait_for("block 1  tiny", times=2)
    os.kill(fleet.processes("fleet.worker")[0], signal.SIGKILL)
    done = begun.end()
    assert done.code == 1
    [lost] = [line.split(":")[0] for line in done.err.splitlines() if ": lost: " in line]
    other = "b" if lost == "a" else "a"
    account = state(fleet)["account"]
    assert account["asked"] == 6 == account["done"] + account["left_out"]
    missing = account["missing"]
    assert 1 <= missing <= 3
    assert done.err.splitlines()[-1] == (
        f"{missing} of 6 trials asked for are missing (6 = {6 - missing} done + "
        f"{missing} left out); to continue: fleet submit {file}"
    )
    assert f"demo   not complete: {missing} of 6 trials are missing" in fleet("status").out
    [row] = [row for row in state(fleet)["machines"] if row["machine"] == lost]
    assert (row["state"], row["reason"]) == ("lost", "its worker process ended (signal 9)")
    alone = fleet("submit", file, "--only", f"machine={other}")
    assert "nothing to do: every trial is finished" in alone.err
    assert f"not complete: {missing} of 6 trials are missing" in fleet("status").out
    rest = fleet("submit", file)
    words = rf"\b{6 - missing} trials? (is|are) finished already, {missing} to go"
    assert re.search(words, rest.err)
    assert fleet("status").out.startswith("demo   done")
    assert state(fleet)["account"]["missing"] == 0


def test_detach_without_a_head_is_refused(fleet: Fleet) -> None:
    file = fleet.write(experiment({"alpha": machine()}))
    refused = fleet("submit", file, "--detach", code=2)
    assert "--detach needs a head, and none runs here" in refused.err
    assert "--head USER@HEAD" in refused.err
    assert not fleet.store.exists()
