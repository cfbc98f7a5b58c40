"""Settings of the engine's environment on a real Ollama: one of fleet's own, beside the owner's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama, own_server
from fleet.engines.ollama.own_server import OwnServers
from fleet.errors import Interrupted, SettingFailed
from tests.builders_flow import Fleet, experiment, until
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

NEVER = threading.Event()
ASKED = {
    "OLLAMA_FLASH_ATTENTION": "1",
    "OLLAMA_KV_CACHE_TYPE": "q8_0",
    "OLLAMA_NUM_PARALLEL": "2",
    "LLAMA_ARG_CACHE_RAM": "0",
}

CHILD = """
import os, sys, threading, time
from pathlib import Path
from fleet.clock import SystemClock
from fleet.engines.ollama.own_server import OwnServers
servers = OwnServers(os.environ, Path(sys.argv[1]), SystemClock(), list)
own = servers.start({}, "a", threading.Event())
own.engine.load("tiny-llama", {"num_ctx": 1024})
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def host(real_ollama: RealOllama, tmp_path: Path) -> OwnServers:
    owner = Ollama(real_ollama.base_url, clock=SystemClock())
    return OwnServers(
        _as_the_owner(real_ollama), tmp_path / "own.log", SystemClock(), owner.resident
    )


def _as_the_owner(server: RealOllama) -> dict[str, str]:
    folder = server.log.parent
    return {
        "PATH": f"{server.program.parent}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_HOST": server.base_url.removeprefix("http://"),
    }


def test_an_own_server_has_what_was_asked_and_the_owner_s_models(
    real_ollama: RealOllama, host: OwnServers
) -> None:
    assert host.refusal() == ""
    own = host.start(ASKED, "a", NEVER)
    try:
        told = own.environment
        assert told["OLLAMA_FLASH_ATTENTION"] == "true"
        assert told["OLLAMA_KV_CACHE_TYPE"] == "q8_0"
        assert told["OLLAMA_NUM_PARALLEL"] == "2"
        assert told["OLLAMA_NOPRUNE"] == "true", "the owner may be pulling"
        assert own.gpu_limit_mb is None, "there is no GPU here"
        theirs = httpx.get(f"{real_ollama.base_url}/api/tags", trust_env=False).json()["models"]
        assert {m.digest for m in own.engine.models()} == {m["digest"] for m in theirs}
        own.engine.load("tiny-llama", {"num_ctx": 1024, "num_batch": 512})
        log = host.log.read_text()
        assert "K (q8_0)" in log
        assert "--flash-attn on" in log
        assert "-np 2" in log
        assert httpx.get(f"{real_ollama.base_url}/api/ps", trust_env=False).json()["models"] == []
    finally:
        own.close()
    until(lambda: _answers(real_ollama.base_url) and not _running(host))
    assert real_ollama.process.poll() is None


def test_it_ends_when_the_process_that_started_it_is_killed(
    real_ollama: RealOllama, host: OwnServers, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(host.log)],
        env={**host.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert _running(host)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    until(lambda: not _running(host))
    assert _answers(real_ollama.base_url)


def test_a_start_that_is_stopped_or_fails_leaves_nothing(
    real_ollama: RealOllama, host: OwnServers
) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        host.start({}, "a", stop)
    assert not _running(host)
    with pytest.raises(SettingFailed, match="ended: "):
        host.start({"OLLAMA_MODELS": "/dev/null/models"}, "a", NEVER)
    assert not _running(host)
    nowhere = replace(host, environment={**host.environment, "PATH": "/nowhere"})
    assert "no program `ollama`" in nowhere.refusal()
    elsewhere = replace(host, environment={**host.environment, "OLLAMA_MODELS": "/nowhere"})
    assert "set OLLAMA_MODELS" in elsewhere.refusal()


def test_a_model_that_the_owner_uses_is_waited_for(
    real_ollama: RealOllama, host: OwnServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Ollama(real_ollama.base_url, clock=SystemClock())
    owner.load("tiny-llama", {"num_ctx": 1024})
    try:
        monkeypatch.setattr(own_server, "ALONE_S", 0.0)
        with pytest.raises(SettingFailed, match="tiny-llama:latest is still in memory") as problem:
            host.wait_until_free(NEVER)
        assert problem.value.hint.endswith("ollama stop tiny-llama:latest")
        assert [model.name for model in owner.resident()] == ["tiny-llama:latest"], (
            "it is the owner's"
        )
        stop = threading.Event()
        stop.set()
        with pytest.raises(Interrupted):
            host.wait_until_free(stop)
    finally:
        owner.unload("tiny-llama")
    host.wait_until_free(NEVER)


def test_a_cache_type_is_an_axis(real_ollama: RealOllama, fleet: Fleet) -> None:
    fleet.write(
        experiment(
            {},
            models=["tiny-llama"],
            settings={"num_ctx": 1024, "num_thread": 1, "kv_cache_type": ["f16", "q8_0"]},
            engine={"kind": "ollama", "host": real_ollama.base_url},
            repeats=1,
            gates={"policy": "record", "residents_are_mine": True},
        )
    )
    owner = _as_the_owner(real_ollama)
    world = {name: owner[name] for name in ("PATH", "OLLAMA_MODELS")}
    fleet("submit", "configs/demo.yaml", env=world)
    rows = fleet.rows("""
        select kv_cache_type, engine_environment_applied as applied, engine_restarted, outcome
        from trials order by all""")
    assert [tuple(row.values()) for row in rows] == [
        ("f16", '{"OLLAMA_KV_CACHE_TYPE":"f16"}', True, "ok"),
        ("q8_0", '{"OLLAMA_KV_CACHE_TYPE":"q8_0"}', True, "ok"),
    ]
    assert "2 trials are finished already" in fleet("submit", "configs/demo.yaml", env=world).err
    refused = fleet("submit", "configs/demo.yaml", code=2)
    assert "settings.kv_cache_type cannot be set on" in refused.err
    assert "no program `ollama` is on PATH" in refused.err


def _answers(url: str) -> bool:
    return httpx.get(f"{url}/api/version", trust_env=False).is_success


def _running(host: OwnServers) -> list[str]:
    """Living processes that write to the own server's log."""
    found = []
    for each in Path("/proc").iterdir():
        if not each.name.isdigit():
            continue
        try:
            if (each / "fd" / "2").readlink() == host.log:
                found.append((each / "cmdline").read_text())
        except OSError:
            continue
    return found
