"""Canaries, cool-down and restarts as one sees them: in the plan, on the way, in the rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment, machine, model

ROLES = "select role, block, job, outcome from trials order by zero_unix_ns"


def test_canaries_stand_around_the_blocks_and_are_no_work(fleet: Fleet) -> None:
    fleet.write(experiment({"alpha": machine()}, repeats=3, canary="on"))
    told = fleet("plan", "configs/demo.yaml")
    assert "with 4 canaries on each machine, at the start, between blocks and at the end" in (
        told.out
    )
    assert "   3 trials, " in told.out
    done = fleet("submit", "configs/demo.yaml")
    assert done.err.count("alpha: canary  tiny") == 4
    rows = fleet.rows(ROLES)
    assert [(row["role"], row["block"]) for row in rows] == [
        ("canary", 0),
        ("measure", 0),
        ("canary", 1),
        ("measure", 1),
        ("canary", 2),
        ("measure", 2),
        ("canary", 3),
    ]
    assert {row["outcome"] for row in rows} == {"ok"}
    before = fleet.parquet()
    again = fleet("submit", "configs/demo.yaml")
    assert "3 trials are finished already, 0 to go" in again.err
    assert fleet.parquet() == before
    off = fleet.write(experiment({"alpha": machine()}, repeats=3), "off")
    assert "3 trials are finished already, 0 to go" in fleet("submit", off).err


def test_the_stop_rule_ends_with_a_canary(fleet: Fleet) -> None:
    fleet.write(
        experiment(
            {"alpha": machine()},
            settings={"num_ctx": 1024, "num_batch": [128, 512]},
            repeats={"least": 2, "most": 20, "half_width_percent": 50},
            canary="on",
        )
    )
    fleet("submit", "configs/demo.yaml")
    rows = fleet.rows(ROLES)
    blocks = [row["block"] for row in rows if row["role"] == "measure"]
    assert sorted(blocks) == sorted([*range(max(blocks) + 1)] * 2), "every block is whole"
    assert [row["block"] for row in rows if row["role"] == "canary"] == list(range(max(blocks) + 2))
    assert max(blocks) < 19
    [status] = fleet("status", "--json").json()
    states: Counter[str] = Counter()
    for row in status["states"]:
        states[row["state"]] += row["trials"]
    assert states == {"done": len(rows), "not needed": 61 - len(rows)}
    account = status["account"]
    assert account["asked"] == 40 == account["done"] + account["not_needed"], "canaries are no work"


def test_a_canary_that_fails_is_a_row_and_no_failure(fleet: Fleet) -> None:
    fault = {"kind": "refuse", "request": 0}
    fleet.write(experiment({"alpha": machine(fault)}, repeats=1, canary="on"))
    fleet("submit", "configs/demo.yaml")
    assert [(row["role"], row["outcome"]) for row in fleet.rows(ROLES)] == [
        ("canary", "failed"),
        ("measure", "ok"),
        ("canary", "ok"),
    ]


def hot(after_s: float, decode: float) -> dict[str, Any]:
    """A trial of it is some 260 tokens of work, most of them decoded."""
    models = {"tiny": model(decode_tokens_per_s=decode)}
    return machine(noise_percent=0, throttle={"after_s": after_s, "to": 0.5}, models=models)


RATES = """
select t.block, t.cooled_ns, t.thermal_class, min(r.decode_tokens_per_s) as slowest
from trials t join requests_flagged r using (attempt_id)
where r.point = 'tg128' and not r.warmup group by all order by block
"""


def test_a_machine_that_throttles_is_slower_and_loses_no_trial(fleet: Fleet) -> None:
    fleet.write(experiment({"laptop": hot(0.02, 1000)}, repeats=4, gates="record"))
    fleet("submit", "configs/demo.yaml")
    rows = fleet.rows(RATES)
    assert [row["block"] for row in rows] == [0, 1, 2, 3]
    assert all(490 < row["slowest"] < 600 for row in rows), "1000 at first, then half of it"
    assert {row["cooled_ns"] for row in rows} == {None}


@pytest.mark.faults
def test_cooling_down_gives_each_trial_a_cool_machine(fleet: Fleet) -> None:
    fleet.write(experiment({"laptop": hot(2, 100)}, repeats=2, cool_down={"at_most": "30s"}))
    done = fleet("submit", "configs/demo.yaml")
    rows = fleet.rows(RATES)
    assert {row["thermal_class"] for row in rows} == {"nominal"}
    assert all(row["cooled_ns"] is not None for row in rows)
    assert rows[1]["cooled_ns"] > 0
    assert "laptop: cooling down for at most 30s: thermal pressure heavy" in done.err


def test_a_machine_that_tells_no_heat_rests_where_asked(fleet: Fleet) -> None:
    fleet.write(experiment({"alpha": machine()}, repeats=1, cool_down={"rest": "1s"}))
    done = fleet("submit", "configs/demo.yaml")
    assert "alpha: resting for 1s: this machine reports no temperature" in done.err
    [row] = fleet.rows("select cooled_ns from trials")
    assert row["cooled_ns"] >= 1e9


def test_the_engine_is_restarted_before_each_trial_where_fleet_started_it(fleet: Fleet) -> None:
    pulled = {"tiny": model(present=False)}
    fleet.write(experiment({"alpha": machine(models=pulled)}, repeats=2, restart_engine=True))
    fleet("submit", "configs/demo.yaml")
    assert fleet.rows("select outcome, engine_restarted as r from trials") == [
        {"outcome": "ok", "r": True},
        {"outcome": "ok", "r": True},
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"engine": {"kind": "ollama", "restart": ["sh", "-c", "touch owned"]}},
            "engine.restart: a command is no part of an experiment; the owner of each machine "
            "registers it there: fleet join --restart-command 'systemctl restart ollama'",
        ),
        ({"cool_down": {"at_most": "soon"}}, "cool_down.at_most: 'soon' is no time span like 10m"),
        ({"cool_down": {"thermal": "cold"}}, "cool_down.thermal: must be nominal, moderate"),
        ({"cool_down": {"below": 50}}, "unknown key (did you mean below_c?)"),
        ({"canary": "sometimes"}, "canary: must be on or off"),
        ({"engine": {"kind": "ollama", "restart": []}}, "engine.restart: needs at least one"),
        ({"engine": {"kind": "ollama", "restart": "now"}}, "engine.restart: must be a list"),
    ],
)
def test_mistakes_are_told_with_their_place(
    fleet: Fleet, changes: dict[str, object], said: str
) -> None:
    done = fleet("plan", fleet.write(experiment({"alpha": machine()}, **changes)), code=2)
    assert done.err.startswith("configs/demo.yaml:1:")
    assert said in done.err
