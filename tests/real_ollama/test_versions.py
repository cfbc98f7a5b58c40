"""Two versions of a real Ollama in one store: measured, kept apart, compared with one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ollama_server
from tests.builders_flow import Fleet, experiment
from tests.tools.install_ollama import wanted_versions

pytestmark = pytest.mark.real_ollama

EXPERIMENT = experiment(
    {},
    name="versions",
    models=["gpt-oss:20b"],
    settings={"num_ctx": 2048, "num_thread": 1},
    repeats=3,
    gates={"policy": "record", "residents_are_mine": True},
    engine={"kind": "ollama"},
)


def test_two_versions_are_compared_by_engine_version(fleet: Fleet, tmp_path: Path) -> None:
    versions = wanted_versions()
    if len(versions) < 2:
        pytest.skip("one version of Ollama is wanted here: FLEET_TEST_OLLAMAS=all asks for both")
    file = fleet.write(EXPERIMENT)
    for version in versions:
        ollama_server.skip_or_fail(version)
        folder = tmp_path / version.ollama
        folder.mkdir()
        with ollama_server.real_ollama(folder, version=version) as server:
            done = fleet("submit", file, "--yes", env={"OLLAMA_HOST": server.base_url})
        assert "3 trials asked for: 3 measured" in done.err
    named = sorted(version.ollama for version in versions)
    measured = "select engine_version as version, count(*) as n from trials group by 1 order by 1"
    assert [tuple(row.values()) for row in fleet.rows(measured)] == [(v, 3) for v in named]
    # each version wrote a manifest of its own of the same weights
    words = ("versions", "--by", "engine_version", "--baseline", named[0], "--json")
    words += ("--allow-diff", "digest")
    groups = fleet("compare", *words, code=None).json()["groups"]
    sides = {line["side"] for group in groups for line in group["lines"]}
    assert sides == set(named)
    assert {group["metric"] for group in groups} >= {"decode"}
