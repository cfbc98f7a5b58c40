"""The simulated engine: its server's process lives no longer than it should."""

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from fleet.clock import SystemClock
from fleet.engines.simulated.engine import Simulated
from fleet.errors import EngineUnreachable
from fleet.model.script import MachineScript, ScriptedModel

SCRIPT = MachineScript(
    chip="Test",
    memory_gb=16,
    gpu_memory_mb=8192,
    models={"tiny": ScriptedModel(prefill_tokens_per_s=1000, decode_tokens_per_s=1000)},
)

ORPHAN = """
import os, sys
from fleet.clock import SystemClock
from fleet.engines.simulated.engine import Simulated
from fleet.model.script import MachineScript
engine = Simulated(MachineScript.model_validate_json(sys.argv[1]), clock=SystemClock())
print(engine.base_url, engine.facts().kind, flush=True)
os._exit(1)
"""


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/api/version", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _gone_within(base_url: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _answers(base_url):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_it_says_what_it_is_and_ends_with_close() -> None:
    engine = Simulated(SCRIPT, clock=SystemClock())
    try:
        assert (engine.facts().kind, engine.facts().version) == ("simulated", "0.32.15")
        assert [facts.name for facts in engine.models()] == ["tiny:latest"]
        assert _answers(engine.base_url)
    finally:
        engine.close()
    assert not _answers(engine.base_url)
    with pytest.raises(EngineUnreachable):
        engine.facts()


def test_the_server_ends_when_its_owner_dies() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN, SCRIPT.model_dump_json()],
        capture_output=True,
        text=True,
        timeout=600,
    )
    base_url, kind = done.stdout.split()
    assert kind == "simulated"
    assert _gone_within(base_url, 5)


def test_the_program_refuses_a_script_it_cannot_read(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"chip": 1}')
    for path, said in ((script, "memory_gb"), (tmp_path / "none.json", "No such file")):
        done = subprocess.run(
            [sys.executable, "-m", "fleet.engines.simulated", str(path)],
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
