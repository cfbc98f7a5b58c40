"""A real Ollama started by hand: known as such, never restarted, asked to unload where allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.commands import SystemCommands
from fleet.engines.ollama import Ollama, own_server
from fleet.errors import EngineNotRestarted, SettingFailed
from fleet.owner import ownership
from fleet.owner.allowed import Allowed, write
from tests.builders_flow import Fleet, experiment
from tests.ollama_server import RealOllama

pytestmark = [
    pytest.mark.real_ollama,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="found in /proc"),
]

MAY = Allowed(kinds=frozenset({"restart-ollama"}))


def test_it_is_known_and_refused_with_the_reason(
    real_ollama: RealOllama, engine: Ollama, tmp_path: Path
) -> None:
    write(tmp_path / "allowed", MAY)
    owners = ownership.OwnersOllama(real_ollama.base_url, SystemCommands(), tmp_path / "allowed")
    assert owners.run_as().kind == "by hand"
    assert "was started by hand" in owners.restart_words().refusal
    with pytest.raises(EngineNotRestarted, match="was started by hand"):
        owners.restart(engine)
    assert real_ollama.process.poll() is None


def test_submit_refuses_before_anything_is_measured(real_ollama: RealOllama, fleet: Fleet) -> None:
    engine = {"kind": "ollama", "host": real_ollama.base_url}
    fleet.write(experiment({}, models=["tiny-llama"], engine=engine, restart_engine=True))
    fleet("join", "--allow", "restart-ollama")
    said = fleet("submit", "configs/demo.yaml", code=2).err
    assert "was started by hand and would lose its terminal; run it as a service" in said
    assert fleet.parquet() == []
    there = {"OLLAMA_HOST": real_ollama.base_url}
    facts = fleet("machines", "--here", "--json", env=there).json()["facts"]
    assert facts["ollama_run_as"]["value"] == "by hand"


def test_a_model_in_memory_is_unloaded_at_once_where_that_is_allowed(
    real_ollama: RealOllama, engine: Ollama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event

    permission, said = tmp_path / "allowed", list[str]()
    host = ownership.own_servers(engine, tmp_path / "log", permission, said.append)
    engine.load("tiny-llama", {"num_ctx": 1024})
    monkeypatch.setattr(own_server, "ALONE_S", 0.0)
    with pytest.raises(SettingFailed, match="still in memory"):
        host.wait_until_free(Event())
    assert not host.evict("tiny-llama:latest")
    assert said == []
    assert [model.name for model in engine.resident()] == ["tiny-llama:latest"]
    monkeypatch.undo()
    write(permission, MAY)
    host.wait_until_free(Event())
    assert list(engine.resident()) == []
    assert said == [
        "unloads tiny-llama:latest, which others had in memory: restart-ollama is allowed here"
    ]
