"""Several Ollamas of one machine as an axis: a trial runs on the program that its label names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests import ollama_server
from tests.builders_flow import Fleet, experiment
from tests.ollama_server import RealOllama
from tests.tools.install_ollama import NEWEST, Version, wanted_versions

pytestmark = pytest.mark.real_ollama

REPEATS = 3
BY = ("--by", "engine_binary")


def study(*labels: str) -> dict[str, object]:
    return experiment(
        {},
        name="programs",
        models=["tiny-llama"],
        settings={"num_ctx": 2048, "num_thread": 1, "engine_binary": list(labels)},
        repeats=REPEATS,
        compare_by="engine_binary",
        gates={"policy": "record", "residents_are_mine": True},
        engine={"kind": "ollama"},
    )


def program(version: Version) -> Path:
    ollama_server.skip_or_fail(version)
    folder = ollama_server.find(version)
    assert folder is not None
    return folder / "bin" / "ollama"


def environment(server: RealOllama) -> dict[str, str]:
    """As on a machine whose PATH has no Ollama: the registered ones are all that can be started."""
    return {
        "OLLAMA_HOST": server.base_url.removeprefix("http://"),
        "OLLAMA_MODELS": str(server.log.parent / "models"),
    }


def test_two_versions_are_measured_in_turn_and_compared(fleet: Fleet, tmp_path: Path) -> None:
    versions = wanted_versions()
    if len(versions) < 2:
        pytest.skip("one version of Ollama is wanted here: FLEET_TEST_OLLAMAS=all asks for both")
    registered = {f"v{version.ollama}": program(version) for version in versions}
    fleet("join", "--allow", "engine-binary", *(f"{k}={v}" for k, v in registered.items()))
    file = fleet.write(study(*registered))
    with ollama_server.real_ollama(tmp_path, models={"tiny-llama": "llama"}) as server:
        fleet("submit", file, env=environment(server), code=None)
        again = fleet("submit", file, env=environment(server))
    assert "nothing to do: every trial is finished" in again.err
    rows = fleet.rows("from trials order by position")
    assert {f"v{row['engine_version']}" == row["engine_binary"] for row in rows} == {True}
    assert len({row["engine_sha256"] for row in rows}) == len(versions)
    assert [row["engine_binary"] for row in rows].count(f"v{NEWEST.ollama}") == REPEATS
    blocks = {(row["block"], row["engine_binary"]) for row in rows}
    assert len(blocks) == len(rows) == REPEATS * len(versions), "each block has each of them once"
    groups = fleet("compare", "programs", *BY, "--json", code=None).json()["groups"]
    assert {line["side"] for group in groups for line in group["lines"]} == set(registered)
    assert fleet.processes("serve") == []


def test_a_program_that_was_replaced_is_measured_anew(fleet: Fleet, tmp_path: Path) -> None:
    """The label stays, the file behind it does not: a script that starts the same Ollama."""
    script = tmp_path / "ollama"

    def register(comment: str) -> None:
        script.write_text(f'#!/bin/sh\n# {comment}\nexec "{program(NEWEST)}" "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    register("the first build")
    fleet("join", "--allow", "engine-binary", f"mine={script}")
    file = fleet.write(study("mine"))
    with ollama_server.real_ollama(tmp_path, models={"tiny-llama": "llama"}) as server:
        fleet("submit", file, env=environment(server))
        register("the second build")
        kept = fleet("submit", file, "--missing-only", env=environment(server))
        assert "nothing to do" in kept.err
        done = fleet("submit", file, "--yes", env=environment(server))
        script.unlink()
        gone = fleet("plan", file, env=environment(server), code=None)
        fleet("leave")
        revoked = fleet("plan", file, env=environment(server), code=None)
    assert f"{REPEATS} trials asked for: {REPEATS} measured" in done.err
    assert len({row["engine_sha256"] for row in fleet.rows("from trials")}) == 2
    assert f"cannot be started: there is no file {script}" in gone.out + gone.err
    assert "is no registered program" in revoked.out + revoked.err
