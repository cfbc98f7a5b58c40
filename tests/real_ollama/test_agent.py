"""The recorded session of an agent on a real Ollama: each turn reads what is new, and says so."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.builders_flow import Fleet, experiment
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

ROOT = Path(__file__).parents[2]
TURNS = 6
POINTS = [{"output_tokens": 128}]
TELLS_CACHED = (0, 33, 3)
EXPERIMENT = experiment(
    {},
    name="agent",
    models=["tiny-llama"],
    jobs=["agent"],
    settings={"num_ctx": 8192, "num_thread": 1},
    repeats=1,
    gates={"policy": "record", "residents_are_mine": True},
    engine={"kind": "ollama"},
)


def write_session(fleet: Fleet) -> None:
    """The shipped session as far as the context of a tiny model holds it: its words are many."""
    session = YAML(typ="safe").load(ROOT / "jobs" / "sessions" / "agent.yaml")
    session["turns"] = session["turns"][:TURNS]
    job = {"name": "agent", "session_file": "short.yaml", "requests": 1, "points": POINTS}
    for name, content in (("agent", job), ("short", session)):
        (fleet.folder / "jobs" / f"{name}.yaml").write_text(json.dumps(content))


def test_each_turn_reads_what_is_new_and_says_how_much_it_reused(
    fleet: Fleet, real_ollama: RealOllama
) -> None:
    write_session(fleet)
    file = fleet.write(EXPERIMENT)
    done = fleet("submit", file, env={"OLLAMA_HOST": real_ollama.base_url})
    rows = fleet.rows("from requests_flagged where not warmup order by turn")
    assert [row["turn"] for row in rows] == list(range(len(rows)))
    assert len(rows) == TURNS
    assert [row["invalid"] for row in rows] == [""] * len(rows)
    lengths = [row["prompt_tokens"] for row in rows]
    assert lengths == sorted(set(lengths)), "the history grows with each turn"
    version = tuple(int(part) for part in real_ollama.version.ollama.split("."))
    for before, row in pairwise(rows):
        if version < TELLS_CACHED:
            assert row["cached_tokens"] is None
            assert row["reused_tokens"] is None, "what nobody told is not known"
            continue
        assert row["reused_tokens"] == row["cached_tokens"]
        new = row["prompt_tokens"] - before["prompt_tokens"]
        assert row["prompt_tokens"] - row["cached_tokens"] <= new + 16
        assert row["cached_tokens"] >= 0.5 * before["prompt_tokens"]
    assert f"agent@t{TURNS - 1}" in done.out
