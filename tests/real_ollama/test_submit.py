"""The main road on a real Ollama: a first speed, then nothing to do, then all of it anew."""

from __future__ import annotations

import pytest

from tests.builders_flow import Done, Fleet
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama


EXPERIMENT = {
    "version": 1,
    "name": "demo",
    "models": ["gpt-oss:20b"],
    "jobs": ["chat"],
    # two threads on two cores that others use too would wait for one another
    "settings": {"num_ctx": 2048, "num_thread": 1},
    "repeats": 2,
    # others work on this machine, and what is read here is not how fast it is
    "gates": {"policy": "record", "residents_are_mine": True},
}


def submit(fleet: Fleet, server: RealOllama, *words: str) -> Done:
    file = fleet.write(EXPERIMENT)
    return fleet("submit", file, *words, env={"OLLAMA_HOST": server.base_url})


def test_a_job_is_measured_once_and_again_only_where_asked(
    fleet: Fleet, real_ollama: RealOllama
) -> None:
    first = submit(fleet, real_ollama)
    assert first.out.splitlines()[0].split()[:3] == ["machine", "model", "test"]
    asked = fleet.rows("select * from requests_flagged where not warmup")
    assert len(asked) == 2, "one request in each of two blocks"
    for row in asked:
        assert row["invalid"] or row["output_tokens"] == row["output_tokens_asked"]
    assert any(row["decode_tokens_per_s"] for row in asked)

    files = fleet.parquet()
    second = submit(fleet, real_ollama)
    assert "nothing to do: every trial is finished" in second.err
    assert fleet.parquet() == files

    again = submit(fleet, real_ollama, "--again")
    assert "nothing to do" not in again.err
    sessions = "select session, count(*) as n from speeds group by all order by all"
    assert fleet.rows(sessions) == [{"session": 0, "n": 2}, {"session": 1, "n": 2}]
