"""The recorded session of an agent on scripted machines, one of which loses its cache."""

from __future__ import annotations

import json
from typing import Any

from tests.builders_flow import Fleet, experiment, machine

LOST_TURN = 2
SESSION = {
    "version": 1,
    "system": "You are a careful assistant. " * 200,
    "turns": [
        {"user": f"Please do step {number} now.", "assistant": f"Step {number} is done. " * 10}
        for number in range(4)
    ],
}
JOB = {
    "name": "agent",
    "session_file": "short.yaml",
    "requests": 1,
    "warmup": 0,
    "points": [{"output_tokens": 32}],
}


def agent(fleet: Fleet, *faults: dict[str, Any]) -> str:
    for name, content in (("agent", JOB), ("short", SESSION)):
        (fleet.folder / "jobs" / f"{name}.yaml").write_text(json.dumps(content))
    mac = machine(*faults, engine_version="0.34.4")
    return fleet.write(
        experiment({"a": mac}, jobs=["agent"], settings={"num_ctx": 8192}, repeats=1)
    )


def test_a_turn_whose_conversation_was_read_again_is_labelled(fleet: Fleet) -> None:
    fleet("submit", agent(fleet, {"kind": "cache_lost", "request": LOST_TURN}))
    turns = fleet.rows("from requests_flagged where not warmup order by turn")
    assert [turn["invalid"] for turn in turns] == [""] * 4, "it is what happens in real use"
    assert [turn["history_tokens"] for turn in turns] == [
        None,
        *(turn["prompt_tokens"] for turn in turns[:-1]),
    ]
    reads = [turn["cached_tokens"] < turn["prompt_tokens"] / 2 for turn in turns]
    assert reads == [True, False, True, False]
    labels = {row["point"]: row["flags"] for row in fleet.rows("from cells")}
    assert labels == {
        f"agent@t{number}": "reread" if number == LOST_TURN else "" for number in range(4)
    }
    trial = turns[0]["trial_id"]
    assert "reread" in fleet("results", "demo").out
    shown = fleet("show", trial, env={"COLUMNS": "80"}).out
    assert "first token" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert [" 0 % " in line for line in shown.splitlines() if "agent@t" in line][LOST_TURN]


def test_a_session_whose_cache_holds_bears_no_label(fleet: Fleet) -> None:
    fleet("submit", agent(fleet))
    assert {row["flags"] for row in fleet.rows("from cells")} == {""}
