"""A search over real Ollamas of which the later ones are slower: the step is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import ollama_server
from tests.builders_flow import Fleet
from tests.tools.install_ollama import NEWEST
from tests.tools.slowed_ollama import write_slowed

pytestmark = pytest.mark.real_ollama

FACTOR, SLOW_FROM, COUNT = 2.0, 2, 3
"""Twice as slow is seen on any machine; a tenth is for `tests/performance/bisection.py`."""
JOB = {
    "name": "write",
    "api": "generate",
    "points": [{"prompt_tokens": 16, "output_tokens": 256}],
    "requests": 6,
    "warmup": 1,
}
"""On a busy machine the proxy delays an answer of 60 ms by so much that its two clocks disagree.

Such a request is left out, rightly. Longer answers, and six of them, leave each trial a value.
"""


def test_the_step_between_two_versions_is_found(fleet: Fleet, tmp_path: Path) -> None:
    ollama_server.skip_or_fail(NEWEST)
    build = ollama_server.find(NEWEST)
    assert build is not None
    real = build / "bin" / "ollama"
    programs = {
        f"v{number}": write_slowed(
            tmp_path / f"v{number}", real, FACTOR if number >= SLOW_FROM else 1.0, f"v{number}"
        )
        for number in range(COUNT)
    }
    words = [f"{label}={path}" for label, path in programs.items()]
    (fleet.folder / "jobs" / "write.yaml").write_text(json.dumps(JOB))
    fleet("join", "--allow", "engine-binary", *words)
    with ollama_server.real_ollama(tmp_path, models={"tiny-llama": "llama"}) as server:
        env = {
            "OLLAMA_HOST": server.base_url.removeprefix("http://"),
            "OLLAMA_MODELS": str(tmp_path / "models"),
        }
        options = ("--model", "tiny-llama", "--job", "write", "--set", "num_thread=1")
        options += ("--set", "num_ctx=1024", "--gates", "record", "--mine")
        done = fleet("bisect", *programs, *options, "--json", env=env)
        again = fleet("bisect", *programs, *options, env=env)
    conclusion = done.json()["conclusion"]
    assert (conclusion["ending"], conclusion["after"], conclusion["at"]) == ("step", "v1", "v2")
    assert conclusion["ends"]["ratio"] == pytest.approx(1 / FACTOR, rel=0.3)
    assert f"slower from v2 ({NEWEST.ollama}) on" in again.out
    assert " asked for: " not in again.err, "all of it was measured before"
    assert fleet.processes("serve") == []
