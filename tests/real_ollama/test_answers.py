"""fleet answers on what a real Ollama said: the same prompt from a fresh load, the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders_flow import Fleet
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

QUESTION = {
    "name": "sides",
    "prompt": "why is gold yellow?",
    "points": [{"output_tokens": 160}],
    "requests": 1,
    "warmup": 0,
    "load": "request",
    "fixed_prompt": True,
    "keep_text": True,
}


def test_two_models_side_by_side(real_ollama: RealOllama, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    (tmp_path / "jobs" / "sides.yaml").write_text(json.dumps(QUESTION))
    (tmp_path / "gpt5.txt").write_text("---\ntime: 2m18s\n---\nGold is yellow.\n")
    asked = {
        "version": 1,
        "name": "demo",
        "models": ["gpt-oss:20b", "tiny-llama"],
        "jobs": ["sides"],
        "settings": {"num_ctx": 1024, "num_thread": 1},
        "repeats": 2,
        "gates": {"policy": "record", "residents_are_mine": True},
        "engine": {"kind": "ollama", "host": real_ollama.base_url},
    }
    fleet("submit", fleet.write(asked), code=None)
    [sheet] = fleet("answers", "--reference", "gpt5.txt", "--json").json()
    thinks, plain, reference = sheet["answers"]
    assert (thinks["name"], plain["name"]) == ("gpt-oss:20b", "tiny-llama")
    assert (reference["name"], reference["timed"][0]["total_ns"]) == ("gpt5", 138 * 10**9)
    assert thinks["thinking"]
    assert not plain["thinking"]
    for each in (thinks, plain):
        assert (each["output_tokens"], each["ended"]) == (160, "cut at 160 tokens")
        [timed] = each["timed"]
        assert 0 < timed["load_ns"] < timed["first_token_ns"] < timed["total_ns"]
        assert not {"cached_prefix", "short"} & set(timed["flags"].split())
    assert [(each["requests"], each["questions"]) for each in sheet["agreements"]] == [(2, 1)] * 2
    assert [each["disagreements"] for each in sheet["agreements"]] == [[], []]
