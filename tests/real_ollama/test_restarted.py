"""Ollama ends under an experiment, and comes back or stays away: no trial is lost or spent."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import ollama_server
from tests.builders_flow import Fleet
from tests.tools.install_ollama import NEWEST

pytestmark = pytest.mark.real_ollama

EXPERIMENT = {
    "version": 1,
    "name": "demo",
    "models": ["tiny-llama"],
    "jobs": ["exact"],
    "settings": {"num_ctx": 1024, "num_thread": 1},
    "repeats": 6,
    "canary": "off",
    "gates": {"policy": "record", "residents_are_mine": True},
}
AWAY = "waiting, at most 60 s: no Ollama answers"


def test_trials_wait_for_an_ollama_that_comes_back(fleet: Fleet, tmp_path: Path) -> None:
    ollama_server.skip_or_fail(NEWEST)
    file = fleet.write(EXPERIMENT)
    with ollama_server.real_ollama(tmp_path, models={"tiny-llama": "llama"}) as server:
        run = fleet.start("submit", file, env={"OLLAMA_HOST": server.base_url})
        run.wait_for("tokens/s")  # the first trial is stored
        end(server.process)
        run.wait_for(AWAY)
        again = subprocess.Popen(
            [server.program, "serve"], env=server.environment, stderr=subprocess.DEVNULL
        )
        try:
            done = run.end()
        finally:
            end(again)
    assert done.code == 0, done.err
    outcomes = Counter(row["outcome"] for row in fleet.rows("select outcome from trials"))
    assert outcomes["ok"] == EXPERIMENT["repeats"]
    assert outcomes["failed"] <= 1, "only the trial that was running when Ollama ended"


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
