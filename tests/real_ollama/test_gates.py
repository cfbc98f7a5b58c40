"""Other people's models in the memory of a real Ollama, and one that fleet left there itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.engines.ollama import Ollama
from tests.builders_flow import Fleet, experiment, until
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

LONG = {
    "name": "long",
    "api": "generate",
    "requests": 1,
    "points": [{"prompt_tokens": 16, "output_tokens": 1500}],
}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    (tmp_path / "jobs" / "long.yaml").write_text(json.dumps(LONG))
    yield fleet
    fleet.clear()


@pytest.fixture
def alone(engine: Ollama) -> Ollama:
    """Nothing is in memory."""
    for model in engine.resident():
        engine.unload(model.name)
    return engine


def asked(server: RealOllama, **changes: Any) -> dict[str, Any]:
    plain = {
        "models": ["tiny-llama"],
        "settings": {"num_ctx": 2048, "num_thread": 1},
        "engine": {"kind": "ollama", "host": server.base_url},
        "repeats": 1,
        "gates": "record",
    }
    return experiment({}, **{**plain, **changes})


def test_a_use_moves_the_time_at_which_a_model_goes(alone: Ollama) -> None:
    """Ollama notes a use a moment after it has answered; a look is none, so two looks agree."""
    alone.load("tiny-llama", {"num_ctx": 1024})
    until(lambda: alone.resident() == alone.resident())
    [first] = alone.resident()
    assert first.name == "tiny-llama:latest"
    assert first.expires_unix_ns is not None
    alone.load("tiny-llama", {"num_ctx": 1024})
    until(lambda: (alone.resident()[0].expires_unix_ns or 0) > (first.expires_unix_ns or 0))
    alone.unload("tiny-llama")
    assert list(alone.resident()) == []


def test_a_model_that_somebody_may_use_stays_and_the_attempt_fails(
    fleet: Fleet, real_ollama: RealOllama, alone: Ollama
) -> None:
    alone.load("tiny-llama", {"num_ctx": 1024})
    done = fleet("submit", fleet.write(asked(real_ollama, models=["gpt-oss:20b"])), code=1)
    assert "failed: engine_in_use tiny-llama:latest is in memory" in done.err
    assert [model.name for model in alone.resident()] == ["tiny-llama:latest"]
    alone.unload("tiny-llama")


def test_the_model_to_be_measured_stays_until_the_user_says_whose_it_is(
    fleet: Fleet, real_ollama: RealOllama, alone: Ollama
) -> None:
    alone.load("tiny-llama", {"num_ctx": 1024})
    file = fleet.write(asked(real_ollama))
    refused = fleet("submit", file, code=1)
    assert "failed: engine_in_use tiny-llama:latest is in memory" in refused.err
    last = refused.err.splitlines()[-1]
    assert last.startswith("nothing was measured: ")
    assert f"to continue: fleet submit {file} --mine" in last
    assert [model.name for model in alone.resident()] == ["tiny-llama:latest"]
    fleet("submit", file, "--mine")
    [row] = fleet.rows("select models_unloaded from trials where outcome = 'ok'")
    assert row == {"models_unloaded": "tiny-llama:latest"}
    assert list(alone.resident()) == []


def test_what_ctrl_c_left_in_memory_is_no_model_of_somebody_else(
    fleet: Fleet, real_ollama: RealOllama, alone: Ollama
) -> None:
    file = fleet.write(asked(real_ollama, jobs=["long"]))
    running = fleet.start("submit", file)
    until(lambda: alone.resident())
    running.interrupt()
    assert running.end().code == 130
    assert [model.name for model in alone.resident()] == ["tiny-llama:latest"], "left behind"
    fleet("submit", file)
    [row] = fleet.rows("select outcome, resident_models from trials")
    assert tuple(row.values()) == ("ok", "")
    assert list(alone.resident()) == []
