"""Three machines in network namespaces: what needs more than one address, one name, one disk."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fake_ssh
from tests.namespaces import Network, require, until

pytestmark = pytest.mark.namespaces

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}

HEAD = """
import signal, sys, threading
from pathlib import Path
from fleet.dispatch.cluster import start_head
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with start_head(Path.home() / "state") as head:
    head.wait_for_jobs()
    print("up", head.address, flush=True)
    head.watch(stop)
print("ended", flush=True)
"""
JOIN = """
import signal, sys, threading
from pathlib import Path
from fleet.dispatch.cluster import join
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with join("head", Path.home() / "state", token=sys.stdin.read()) as node:
    print("up", node.record.name, node.record.own_ip, flush=True)
    node.watch(stop)
print("ended", flush=True)
"""
LEAVE = """
from pathlib import Path
from fleet.dispatch.cluster import leave
print(leave(Path.home() / "state"))
"""
LOOK = """
import sys
from pathlib import Path
from fleet.dispatch.actors import RayDispatcher
from fleet.dispatch.cluster import running_head
from tests.builders_dispatch import FakeWorker, Spec
state = Path.home() / "state"
fleet = RayDispatcher(
    FakeWorker,
    lambda seat: Spec(seat.name, "id-" + seat.name),
    address=running_head(state).address,
    token_file=state / "token",
    experiment="demo",
)
print(*(machine.name for machine in fleet.machines()))
fleet.close()
"""
SUBMIT = """
import sys, threading
from pathlib import Path
from fleet.dispatch.jobs import Jobs
from fleet.dispatch.tunnel import fetch_token, tunnel
token = fetch_token("me@head", Path.home() / "none", {})
with tunnel("me@head", 8265) as port, Jobs(f"http://127.0.0.1:{port}", token) as jobs:
    jobs.submit("hostname", "demo-1")
    print("".join(jobs.follow("demo-1", threading.Event())))
"""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    require()
    with Network(["head", "one", "laptop"]) as network:
        yield network


def test_machines_are_apart_but_reach_each_other(network: Network) -> None:
    names = [host.run(["hostname"]).stdout.strip() for host in network.hosts.values()]
    assert names == ["head", "one", "laptop"]
    ids = {host.run(["cat", "/etc/machine-id"]).stdout for host in network.hosts.values()}
    assert len(ids) == 3
    for host in network.hosts.values():
        assert len(host.run(["ps", "-A", "-o", "pid="]).stdout.split()) < 5
        name = "import socket; print(socket.getfqdn())"
        assert host.run([sys.executable, "-c", name], timeout=5).stdout.strip() == host.name
    (network["one"].home / "hello").write_text("hello from one")
    serving = network["one"].popen([sys.executable, "-m", "http.server", "8000"])
    fetch = (
        "import httpx; print(httpx.get('http://one:8000/hello', trust_env=False, timeout=2).text)"
    )
    program = [sys.executable, "-c", fetch]
    until(lambda: network["head"].run(program).stdout.strip() == "hello from one", 20)
    network["one"].send(serving, signal.SIGTERM)
    assert serving.wait(5) == -signal.SIGTERM


def test_a_head_and_a_joined_machine_over_a_real_wire(network: Network, tmp_path: Path) -> None:
    head, one, laptop = network["head"], network["one"], network["laptop"]
    head_log, one_log = tmp_path / "head.log", tmp_path / "one.log"
    heading = head.popen([sys.executable, "-c", HEAD], environment=PYTHON, log=head_log)
    until(lambda: "up" in head_log.read_text() or heading.poll() is not None, 120)
    assert head_log.read_text().strip() == f"up {head.ip}:6379"

    token = (head.home / "state" / "token").read_text()
    pasted = tmp_path / "token"
    pasted.write_text(token)
    with pasted.open() as stdin:
        program = [sys.executable, "-c", JOIN]
        joining = one.popen(program, environment=PYTHON, stdin=stdin, log=one_log)
    until(lambda: "up" in one_log.read_text() or joining.poll() is not None, 60)
    assert one_log.read_text().strip() == f"up one {one.ip}"

    seen = head.run([sys.executable, "-c", LOOK], environment=PYTHON)
    assert seen.stdout.strip() == "one", seen.stderr

    serve = [sys.executable, str(Path(fake_ssh.__file__)), "serve", head.ip]
    bin_folder = head.home / "bin"
    bin_folder.mkdir()
    (bin_folder / "fleet").write_text("#!/bin/sh\ncat $HOME/state/token\n")
    (bin_folder / "fleet").chmod(0o755)
    path = {"PATH": f"{bin_folder}:/usr/bin:/bin"}
    head.popen(serve, environment=path)
    with_ssh = {**PYTHON, "PATH": f"{fake_ssh.client(laptop.home / 'bin')}:/usr/bin:/bin"}
    submitted = laptop.run([sys.executable, "-c", SUBMIT], environment=with_ssh)
    assert "head" in submitted.stdout.splitlines(), submitted.stderr

    assert one.run([sys.executable, "-c", LEAVE], environment=PYTHON).stdout.strip() == "True"
    joining.wait(30)
    assert one_log.read_text().strip().endswith("ended")
    assert "raylet" not in one.run(["ps", "-A", "-o", "args="]).stdout
    head.send(heading, signal.SIGTERM)
    heading.wait(30)
    assert "gcs_server" not in head.run(["ps", "-A", "-o", "args="]).stdout
