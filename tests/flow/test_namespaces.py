"""Three machines in network namespaces: what needs more than one address, one name, one disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import fake_ssh, ollama_server
from tests.namespaces import HANGS_S, Host, Network, require, until

pytestmark = pytest.mark.namespaces

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}

FLEET = [sys.executable, "-m", "fleet"]
NO_RAY = [sys.executable, "-c", "import sys; sys.modules['ray'] = None; import fleet.__main__"]
MEASURING = ("head", "one", "two")

OLLAMA = """
import os, threading
from pathlib import Path
from tests.ollama_server import real_ollama
with real_ollama(Path.home() / "ollama", {"gpt-oss:20b": "gpt-oss"}) as server:
    print("up", server.base_url, flush=True)
    threading.Event().wait()
"""
OWN_ID = """
from pathlib import Path
from fleet.commands import SystemCommands
from fleet.fingerprint import assemble
print(assemble.machine_id(assemble.platform_id(SystemCommands(), Path.home())[0], None))
"""
EXPERIMENT = """
version: 1
name: three
models: ["gpt-oss:20b"]
jobs: [chat]
settings: {num_ctx: 2048, num_thread: 1}
repeats: 2
gates: record # the three share one processor
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    require()
    with Network(["head", "one", "two", "laptop"]) as network:
        yield network


def test_machines_are_apart_but_reach_each_other(network: Network) -> None:
    names = [host.run(["hostname"]).stdout.strip() for host in network.hosts.values()]
    assert names == ["head", "one", "two", "laptop"]
    ids = {host.run(["cat", "/etc/machine-id"]).stdout for host in network.hosts.values()}
    assert len(ids) == 4
    for host in network.hosts.values():
        assert len(host.run(["ps", "-A", "-o", "pid="]).stdout.split()) < 5
        name = "import socket; print(socket.getfqdn())"
        assert host.run([sys.executable, "-c", name], timeout=HANGS_S).stdout.strip() == host.name
    (network["one"].home / "hello").write_text("hello from one")
    serving = network["one"].popen([sys.executable, "-m", "http.server", "8000"])
    fetch = (
        "import httpx; print(httpx.get('http://one:8000/hello', trust_env=False, timeout=600).text)"
    )
    program = [sys.executable, "-c", fetch]
    until(lambda: network["head"].run(program).stdout.strip() == "hello from one", 20)
    network["one"].send(serving, signal.SIGTERM)
    assert serving.wait(HANGS_S) == -signal.SIGTERM


def test_a_fleet_of_three_machines_measures_what_a_laptop_sent_before_it_vanished(
    network: Network, tmp_path: Path
) -> None:
    ollama_server.skip_or_fail()
    head, laptop = network["head"], network["laptop"]
    ollamas = {name: start_ollama(network[name], tmp_path) for name in MEASURING}
    heading, head_log = start(head, [*FLEET, "head"], tmp_path / "head.log", "fleet join")
    token = head.run([*FLEET, "head", "--show-token"], environment=PYTHON).stdout
    joins = {
        name: start(
            network[name],
            [*FLEET, "join", head.ip],
            tmp_path / f"{name}.join.log",
            "has joined",
            environment={"OLLAMA_HOST": ollamas[name]},
            stdin=token,
        )
        for name in MEASURING
    }
    for host in network.hosts.values():
        assert token.strip() not in host.run(["ps", "-A", "-ww", "-o", "args="]).stdout
    assert "fleet join" in head_log.read_text()

    sent = submit_from(laptop, head)
    assert "is in the queue of the head" in sent.stderr, sent.stderr
    [known] = json.loads(ask(head, "status", "three", "--json"))
    assert known["alive"], "the head has it in its ledger when the laptop is told so"
    assert known["command"] == "fleet submit three.yaml --head me@head --detach"
    seen = on_laptop(laptop, "machines", "--joined", "--json", "--head", "me@head")
    assert {each["name"]: each["address"] for each in json.loads(seen.stdout)} == {
        name: network[name].ip for name in MEASURING
    }
    laptop.vanish()

    until(lambda: outcome(head) == "done", 180)
    rows = json.loads(ask(head, "results", "three", "--json"))
    assert {row["machine"] for row in rows} == set(MEASURING)
    measured = "select machine from trials where outcome = 'ok'"  # not all of a busy host count
    trials = Counter(row["machine"] for row in json.loads(ask(head, "sql", measured, "--json")))
    assert trials == dict.fromkeys(MEASURING, 2), rows
    seen = {
        row["machine"]: row["machine_id"] for row in json.loads(ask(head, "machines", "--json"))
    }
    own = {
        name: network[name].run([sys.executable, "-c", OWN_ID], environment=PYTHON) for name in seen
    }
    assert seen == {name: told.stdout.strip() for name, told in own.items()}

    for name, (process, log) in joins.items():
        if name != "head":
            assert network[name].run([*FLEET, "leave"], environment=PYTHON).returncode == 0
            process.wait(HANGS_S)
            assert "raylet" not in network[name].run(["ps", "-A", "-o", "args="]).stdout
            assert "Traceback" not in log.read_text()
    assert head.run([*FLEET, "leave"], environment=PYTHON).returncode == 0
    heading.wait(HANGS_S)
    assert "gcs_server" not in head.run(["ps", "-A", "-o", "args="]).stdout


def start(
    host: Host,
    argv: list[str],
    log: Path,
    up: str,
    *,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
) -> tuple[subprocess.Popen[str], Path]:
    """A long-lived command, once it has said `up`."""
    pasted = log.with_suffix(".stdin")
    pasted.write_text(stdin)
    with pasted.open() as given:
        process = host.popen(
            argv, environment={**PYTHON, **(environment or {})}, stdin=given, log=log
        )
    until(lambda: up in log.read_text() or process.poll() is not None, 120)
    assert up in log.read_text(), log.read_text()
    return process, log


def start_ollama(host: Host, folder: Path) -> str:
    caches = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    argv = [sys.executable, "-c", OLLAMA]
    log = folder / f"{host.name}.ollama.log"
    start(host, argv, log, "up", environment={"XDG_CACHE_HOME": caches})
    return log.read_text().split()[-1]


def submit_from(laptop: Host, head: Host) -> subprocess.CompletedProcess[str]:
    """Through an ssh that only this test knows; Ray cannot even be imported on the laptop."""
    (head.home / "bin").mkdir()
    program = head.home / "bin" / "fleet"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m fleet "$@"\n')
    program.chmod(0o755)
    serve = [sys.executable, str(Path(fake_ssh.__file__)), "serve", head.ip]
    head.popen(serve, environment={"PATH": f"{head.home / 'bin'}:/usr/bin:/bin"})
    (laptop.home / "three.yaml").write_text(EXPERIMENT)
    return on_laptop(laptop, "submit", "three.yaml", "--head", "me@head", "--detach")


def on_laptop(laptop: Host, *words: str) -> subprocess.CompletedProcess[str]:
    with_ssh = {**PYTHON, "PATH": f"{fake_ssh.client(laptop.home / 'bin')}:/usr/bin:/bin"}
    return laptop.run([*NO_RAY, *words], environment=with_ssh)


def ask(host: Host, *words: str) -> str:
    done = host.run([*FLEET, *words], environment=PYTHON)
    assert done.returncode == 0, done.stderr
    return done.stdout


def outcome(head: Host) -> str | None:
    told = head.run([*FLEET, "status", "--json"], environment=PYTHON).stdout
    statuses = json.loads(told or "[]")
    return statuses[0]["outcome"] if statuses else None
