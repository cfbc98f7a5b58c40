"""The design of an experiment on a real Ollama: canaries, restarts before a trial, an A/A run."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import ollama_server
from tests.builders_flow import Fleet
from tests.processes import MARK

pytestmark = pytest.mark.real_ollama

AGAIN = """
import json, os, pathlib, signal, socket, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
told = json.loads((folder / "server.json").read_text())
os.kill(told["pid"], signal.SIGTERM)
while True:
    try:
        socket.create_connection(("127.0.0.1", told["port"]), 1).close()
    except OSError:
        break
    time.sleep(0.02)
with open(folder / "again.log", "ab") as log:
    process = subprocess.Popen(
        told["argv"], env=told["env"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True,
    )
(folder / "server.json").write_text(json.dumps(told | {"pid": process.pid}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str], Path]]:
    """Address, the command that restarts it, and the folder of its logs.

    A restarted server lives as long as this fixture, which ends it: it bears no mark of a test.
    """
    ollama_server.skip_or_fail()
    folder = tmp_path_factory.mktemp("restarted")
    (folder / "again.py").write_text(AGAIN)
    with ollama_server.real_ollama(folder, {"tiny-llama": "llama"}) as running:
        port = int(running.base_url.rpartition(":")[2])
        told = {
            "pid": running.process.pid,
            "port": port,
            "argv": [str(running.program), "serve"],
            "env": {k: v for k, v in running.environment.items() if k != MARK},
        }
        (folder / "server.json").write_text(json.dumps(told))
        yield running.base_url, [sys.executable, str(folder / "again.py"), str(folder)], folder
        with suppress(ProcessLookupError):
            os.kill(json.loads((folder / "server.json").read_text())["pid"], signal.SIGTERM)


def asked(engine: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "version": 1,
        "name": "demo",
        "models": ["tiny-llama"],
        "jobs": ["exact"],
        "settings": {"num_ctx": 1024, "num_thread": 1},
        "repeats": 1,
        "gates": {"policy": "record", "residents_are_mine": True},
        "engine": {"kind": "ollama", **engine},
    }
    return {**plain, **changes}


def test_a_real_ollama_is_a_new_process_for_each_trial(
    fleet: Fleet, server: tuple[str, list[str], Path]
) -> None:
    url, again, folder = server
    fleet("join", "--restart-command", shlex.join(again))
    fleet.write(asked({"host": url}, restart_engine=True, canary="on"))
    fleet("submit", "configs/demo.yaml")
    rows = fleet.rows("select role, engine_restarted, outcome from trials order by zero_unix_ns")
    assert [tuple(row.values()) for row in rows] == [
        ("canary", True, "ok"),
        ("measure", True, "ok"),
        ("canary", True, "ok"),
    ]
    assert (folder / "again.log").read_text().count("Listening on") == 3


def test_a_restart_that_did_not_happen_is_a_failed_row(
    fleet: Fleet, server: tuple[str, list[str], Path]
) -> None:
    url, _, _ = server
    fleet("join", "--restart-command", "false")
    fleet.write(asked({"host": url}, restart_engine=True))
    fleet("submit", "configs/demo.yaml", code=1)
    rows = fleet.rows("select outcome, reason, detail, transient from trials where fence = 0")
    assert rows == [
        {
            "outcome": "failed",
            "reason": "engine_not_restarted",
            "detail": "false: exit code 1",
            "transient": True,
        }
    ]


@pytest.mark.faults
def test_the_noise_floor_of_this_machine(fleet: Fleet, server: tuple[str, list[str], Path]) -> None:
    """How high it is depends on who else works here; that it is stated does not."""
    fleet.write(asked({"host": server[0]}))
    words = ("noise", "--config", "configs/demo.yaml", "--repeats", "5", "--json")
    report = fleet(*words, code=None).json()
    assert [(line["metric"], line["trials"]) for line in report["lines"]] == [
        ("prefill", 10),
        ("decode", 10),
    ]
    for line in report["lines"]:
        assert 0 < line["low"] < line["sd_log"] < line["high"]
