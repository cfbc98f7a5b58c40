"""A machine that is not ready, as one sees it: held, labelled, failed, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment, machine, model, until

TOLD = {
    "power_source": "mains",
    "low_power_mode": False,
    "thermal_class": "nominal",
    "memory_pressure": "normal",
    "foreign_cpu_percent": 1.0,
}
"""All gates told, and open."""


def scripted(**facts: Any) -> dict[str, Any]:
    return machine(facts={**TOLD, **facts})


def written(fleet: Fleet, one: dict[str, Any], **changes: Any) -> str:
    return fleet.write(experiment({"laptop": one}, **{"repeats": 1, **changes}))


GATES = """
select gates, gates_held_ns as held_ns, gates_closed, gates_closed_after, gates_unverified, reason
from trials order by fence
"""


def test_held_until_it_is_plugged_in(fleet: Fleet) -> None:
    file = written(fleet, scripted(power_source=["mains", "battery", "battery", "mains"]))
    done = fleet("submit", file)
    assert "laptop: waiting since " in done.err
    assert ", at most 10m: on battery   (--gates record measures at once)" in done.err
    [row] = fleet.rows(GATES)
    assert 2e9 <= row.pop("held_ns") < 20e9
    assert row == {
        "gates": "wait",
        "gates_closed": "",
        "gates_closed_after": "",
        "gates_unverified": "",
        "reason": None,
    }
    assert {row["flags"] for row in fleet.rows("from speeds")} == {""}
    [trial] = fleet.rows("select trial_id from trials")
    shown = fleet("show", trial["trial_id"]).out
    assert "  gates      held for " in shown
    assert "closed before it" not in shown


def test_status_tells_who_is_held_and_ctrl_c_ends_it(fleet: Fleet) -> None:
    running = fleet.start("submit", written(fleet, scripted(power_source="battery"), repeats=2))
    running.wait_for("waiting since")
    status = fleet("status").out
    [held] = [line for line in status.splitlines() if "waiting since" in line]
    assert held.split()[:3] == ["laptop", "1", "queued"]
    assert "at most 10m: on battery" in held
    running.interrupt()
    done = running.end()
    assert done.code == 130
    assert "interrupted: 0 trials are kept, 2 are left" in done.err
    assert fleet.parquet() == []


def test_after_the_wait_it_is_labelled_and_the_next_trial_goes_on_at_once(fleet: Fleet) -> None:
    gates = {"at_most": "2s"}
    one = scripted(power_source="battery", memory_pressure="warning")
    done = fleet("submit", written(fleet, one, gates=gates, repeats=2))
    assert done.err.count("not ready after 2s; measuring under a label: on battery; memory") == 1
    held = [row["held_ns"] for row in fleet.rows("select gates_held_ns as held_ns from trials")]
    assert sorted(held)[0] == 0 < 2e9 <= sorted(held)[1]
    assert {row["flags"] for row in fleet.rows("from speeds")} == {"on_battery memory_pressure"}


def test_record_measures_at_once_and_says_what_was_closed(fleet: Fleet) -> None:
    one = scripted(power_source="battery", thermal_class=None)
    file = written(fleet, one, gates={"policy": "wait", "at_most": "1h"})
    done = fleet("submit", file, "--gates", "record")
    assert "held" not in done.err
    assert "gates: record: machines are measured as they are" in done.err
    [row] = fleet.rows(GATES)
    assert row == {
        "gates": "record",
        "held_ns": 0,
        "gates_closed": "on battery",
        "gates_closed_after": "on battery",
        "gates_unverified": "thermal level",
        "reason": None,
    }
    again = fleet("submit", file)
    assert "nothing to do" in again.err, "the policy is no part of the question"


def test_strict_fails_what_was_closed_after_it_and_tries_again(fleet: Fleet) -> None:
    sources = ["mains", "mains", "battery", "mains", "mains"]
    done = fleet("submit", written(fleet, scripted(power_source=sources), gates="strict"))
    assert "failed: gate_closed after the measurement: on battery" in done.err
    rows = fleet.rows("select outcome, reason, transient, gates_closed_after from trials")
    assert sorted(tuple(row.values()) for row in rows) == [
        ("failed", "gate_closed", True, "on battery"),
        ("ok", None, False, ""),
    ]
    requests = "select distinct attempt_id from requests"
    assert len(fleet.rows(requests)) == 2, "the rows of the failed attempt are kept"


def test_strict_waits_and_fails_before_it_measures(fleet: Fleet) -> None:
    gates = {"policy": "strict", "at_most": "1s"}
    one = scripted(power_source=["mains", *["battery"] * 20])
    done = fleet("submit", written(fleet, one, gates=gates), code=1)
    assert "waited for 1 s: on battery; --gates wait measures all the same" in done.err
    assert {row["reason"] for row in fleet.rows(GATES)} == {"gate_closed"}
    assert "gate_closed" in fleet("status").out


@pytest.mark.parametrize("command", ["plan", "submit"])
def test_strict_refuses_a_machine_that_cannot_tell(fleet: Fleet, command: str) -> None:
    file = written(fleet, scripted(thermal_class=None), gates="strict")
    refused = fleet(command, file, code=2)
    assert (
        "gates: strict cannot be kept on laptop, which does not report: thermal level"
        in refused.out + refused.err
    )
    assert not fleet.store.exists() or fleet.parquet() == []


def test_plan_says_the_policy_where_it_is_not_the_usual_one(fleet: Fleet) -> None:
    assert "gates" not in fleet("plan", written(fleet, scripted())).out
    strict = written(fleet, scripted(), gates={"policy": "strict", "at_most": "5m"})
    assert "  gates: strict, at most 5m: then failed" in fleet("plan", strict).out
    told = json.loads(fleet("plan", strict, "--json", "--gates", "wait").out)["gates"]
    assert told == {"policy": "wait", "at_most": "5m"}


def test_a_wrong_policy_is_named(fleet: Fleet) -> None:
    file = written(fleet, scripted())
    wrong = fleet("submit", file, "--gates", "wiat", code=2)
    assert "--gates: there is no policy 'wiat'" in wrong.err
    assert "did you mean wait?" in wrong.err
    mistake = fleet("plan", written(fleet, scripted(), gates="never"), code=2)
    assert "gates: must be wait, strict, record" in mistake.err


def test_memory_of_the_gpu_that_others_hold_is_waited_for_and_then_labelled(fleet: Fleet) -> None:
    held = "others hold 69.0 GiB of the GPU's memory: python 70656 MiB"
    one = scripted(foreign_gpu_memory_mb=70656, foreign_gpu_programs="python 70656 MiB")
    done = fleet("submit", written(fleet, one, gates={"at_most": "2s"}))
    assert f"at most 2s: {held}   (--gates record measures at once)" in done.err
    [row] = fleet.rows("""
        select trial_id, gates_closed, foreign_gpu_memory_mb, foreign_gpu_memory_after_mb
        from trials""")
    assert (row["gates_closed"], row["foreign_gpu_memory_mb"]) == (held, 70656)
    assert row["foreign_gpu_memory_after_mb"] == 70656
    assert {row["flags"] for row in fleet.rows("from speeds")} == {"gpu_users"}
    assert f"closed before it: {held}" in fleet("show", row["trial_id"]).out


def test_a_gpu_that_cannot_be_looked_into_is_unverified_and_refused_under_strict(
    fleet: Fleet,
) -> None:
    silent = {"foreign_gpu_percent": None, "foreign_gpu_memory_mb": None}
    one = machine(gpu="NVIDIA X", facts={**TOLD, **silent})
    fleet("submit", written(fleet, one))
    [row] = fleet.rows("select gates_unverified, foreign_gpu_memory_mb from trials")
    assert tuple(row.values()) == ("GPU load of others; GPU memory of others", None)
    refused = fleet("plan", written(fleet, one, gates="strict"), code=2)
    assert "does not report: GPU load of others, GPU memory of others" in refused.out + refused.err


def shared(**resident: Any) -> dict[str, Any]:
    models = {"tiny": model(), "other": model()}
    return {**scripted(), "models": models, "resident": {"other": resident}}


def test_a_model_that_somebody_uses_is_waited_for(fleet: Fleet) -> None:
    done = fleet("submit", written(fleet, shared(used_every_s=0.5, leaves_after_s=3)))
    assert ": another model is in memory: other:latest   (ollama stop NAME" in done.err
    [row] = fleet.rows("select outcome, resident_models, models_unloaded from trials")
    assert tuple(row.values()) == ("ok", "", None)


def test_a_model_that_somebody_uses_is_never_taken_out(fleet: Fleet) -> None:
    one = shared(used_every_s=0.5)
    done = fleet("submit", written(fleet, one, gates="record"), code=1)
    assert "failed: engine_in_use other:latest is in memory, and may have been used" in done.err
    rows = fleet.rows("select reason, transient, resident_models from trials")
    assert {tuple(row.values()) for row in rows} == {("engine_in_use", True, "other:latest")}


@pytest.mark.parametrize("model_in_memory", ["other", "tiny"])
def test_where_nothing_was_measured_the_last_line_says_what_takes_ones_own_model(
    fleet: Fleet, model_in_memory: str
) -> None:
    one = {**shared(), "resident": {model_in_memory: {"used_every_s": 0.5}}}
    file = written(fleet, one, gates="record")
    refused = fleet("submit", file, code=1)
    *_, why, last = refused.err.splitlines()
    assert why.split()[:3] == ["laptop", "1", "failed"]
    assert f"engine_in_use: {model_in_memory}:latest is in memory" in why
    assert last == (
        "nothing was measured: see the failures above, or fleet status demo; "
        f"to continue: fleet submit {file} --mine    (if the model in memory is yours)"
    )
    assert refused.out == ""
    assert f"to continue: fleet submit {file} --mine" in fleet("status", "demo").out
    done = fleet("submit", file, "--mine")
    taken_out = "select models_unloaded, gates_closed from trials where outcome = 'ok'"
    [row] = fleet.rows(taken_out)
    assert tuple(row.values()) == (f"{model_in_memory}:latest", "")
    assert "gates: record, models in memory are taken out" in done.err
    assert fleet("status", "demo").out.startswith("demo   done")


def test_a_second_submit_waits_while_the_first_is_held(fleet: Fleet) -> None:
    """Nobody else measures on a machine that is held: the first may go on at any moment."""
    first = fleet.start("submit", written(fleet, scripted(power_source="battery")))
    first.wait_for("waiting since")
    other = fleet.write(experiment({"laptop": scripted()}, name="other", repeats=1), "other")
    second = fleet.start("submit", other)
    second.wait_for("waits: laptop has been measuring demo since ")
    told = {each["experiment"]: each for each in fleet("status", "--json").json()}
    assert (told["demo"]["state"], told["other"]["state"]) == ("measuring", "waiting")
    [laptop] = told["other"]["machines"]
    assert (laptop["machine"], laptop["state"]) == ("laptop", "busy")
    assert laptop["reason"].startswith("laptop has been measuring demo since ")
    assert "other   waiting" in fleet("status", "other").out
    third = fleet.start("submit", fleet.write(experiment({"laptop": scripted()}, name="x"), "x"))
    third.wait_for("waits: laptop is reserved for other, which came first")
    assert "x is stopping" in fleet("cancel", "x").out
    assert third.end().code == 130
    assert fleet("status", "x").out.startswith("x   interrupted")
    first.interrupt()
    until(lambda: second.process.poll() is not None)
    assert second.end().code == 0
    assert first.end().code == 130
