"""This machine and two endpoints of other Ollamas behind a slow link, in network namespaces."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ollama_server
from tests.namespaces import Host, Network, require, until
from tests.tools.install_ollama import NEWEST, OLDER

pytestmark = pytest.mark.namespaces

REPOSITORY = Path(__file__).resolve().parents[2]
FLEET = [sys.executable, "-m", "fleet"]
DELAY_S = 0.03
"""In each direction; a request and its first token cross the link once each."""
DELAY_NS = round(DELAY_S * 1e9)
PORT = 11434
VERSION_OF = {"here": NEWEST, "box": NEWEST, "mini": OLDER}
OLLAMA = """
import sys
from pathlib import Path
from tests.ollama_server import real_ollama
from tests.tools.delayed_link import serve_for_ever
from tests.tools.install_ollama import VERSIONS
[version] = [each for each in VERSIONS if each.ollama == sys.argv[1]]
with real_ollama(Path.home() / "ollama", {}, version=version) as server:
    print("up", server.base_url, flush=True)
    port = int(server.base_url.rpartition(":")[2])
    serve_for_ever(sys.argv[2], int(sys.argv[3]), port, float(sys.argv[4]))
"""
JOB = """
name: exact
api: generate
points:
- {prompt_tokens: 512, output_tokens: 16}
- {prompt_tokens: 16, output_tokens: 256}
requests: 2
warmup: 1
"""
EXPERIMENT = """
version: 1
name: far
models: [tiny-llama]
jobs: [exact]
settings: {num_ctx: 1024, num_thread: 1}
repeats: 2
canary: "off"
gates: {policy: record, residents_are_mine: true} # the three share one processor
"""
OF_TRIAL = ("measured_over", "round_trip_ns", "engine_version", "digest")
OF_THIS_MACHINE = (
    *("os", "os_version", "os_build", "kernel", "power_source", "foreign_cpu_percent", "chip"),
    *("gpu", "gpu_driver", "gpu_limit_mb", "memory_pressure", "memory_gb"),
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """The requests of each machine with their trials; `box itself` is measured on the spot."""
    require()
    for version in set(VERSION_OF.values()):
        ollama_server.skip_or_fail(version)
    folder = tmp_path_factory.mktemp("far")
    with ollama_server.real_ollama(folder, {"tiny-llama": "llama"}):
        pass  # one download, so to speak: the same blobs and digest everywhere
    with Network(list(VERSION_OF)) as network:
        own = {name: start(network[name], folder) for name in VERSION_OF}
        far = [f"{name}=http://{name}:{PORT}" for name in ("box", "mini")]
        endpoints = [word for each in far for word in ("--endpoint", each)]
        seen = submit(network["here"], own["here"], *endpoints)
        assert "6 trials asked for: 6 measured" in seen
        by_machine = requests(network["here"])
        submit(network["box"], own["box"])
        [by_machine["box itself"]] = requests(network["box"]).values()
        yield by_machine


def start(host: Host, folder: Path) -> str:
    """Start the Ollama of a host and its link; return its address on that host."""
    shutil.copytree(folder / "models", host.home / "ollama" / "models")
    (host.home / "jobs").mkdir()
    (host.home / "jobs" / "exact.yaml").write_text(JOB)
    (host.home / "far.yaml").write_text(EXPERIMENT)
    log = folder / f"{host.name}.log"
    words = [VERSION_OF[host.name].ollama, host.ip, str(PORT), str(DELAY_S)]
    process = host.popen([sys.executable, "-c", OLLAMA, *words], environment=environment(), log=log)
    until(lambda: "up http" in log.read_text() or process.poll() is not None)
    assert "up http" in log.read_text(), log.read_text()
    return log.read_text().split("up ")[1].split()[0]


def environment(**more: str) -> dict[str, str]:
    caches = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return {"PYTHONPATH": str(REPOSITORY), "XDG_CACHE_HOME": caches, **more}


def submit(host: Host, ollama: str, *words: str) -> str:
    done = host.run(
        [*FLEET, "submit", "far.yaml", *words], environment=environment(OLLAMA_HOST=ollama)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def requests(host: Host) -> dict[str, list[dict[str, Any]]]:
    columns = ", ".join(f"t.{name}" for name in (*OF_TRIAL, *OF_THIS_MACHINE))
    query = (
        f"select r.*, {columns} from requests_flagged r join trials t using (attempt_id) "
        "where not warmup order by t.block, request"
    )
    done = host.run([*FLEET, "sql", query, "--json"], environment=environment())
    assert done.returncode == 0, done.stderr
    by_machine: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(done.stdout):
        by_machine.setdefault(row["machine"], []).append(row)
    return by_machine


def test_endpoints_are_measured_as_what_they_are(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert set(rows) - {"box", "mini", "box itself"} != set(), "this machine is the third"
    assert len({row["machine_id"] for each in rows.values() for row in each}) == 4
    assert len({row["digest"] for each in rows.values() for row in each}) == 1
    for name in ("box", "mini"):
        assert {row["engine_version"] for row in rows[name]} == {VERSION_OF[name].ollama}
        for row in rows[name]:
            assert row["measured_over"] == "network"
            assert [fact for fact in OF_THIS_MACHINE if row[fact] is not None] == []
            assert row["round_trip_ns"] >= 2 * DELAY_NS
    for name in set(rows) - {"box", "mini"}:
        assert {row["measured_over"] for row in rows[name]} == {"local"}
        assert {row["round_trip_ns"] for row in rows[name]} == {None}


def test_counters_of_the_engine_do_not_know_the_link(rows: dict[str, list[dict[str, Any]]]) -> None:
    """The same Ollama over the link and on the spot; how fast it is, two shared cores decide."""
    counted = ("point", "prompt_tokens", "cached_tokens", "output_tokens", "done_reason")
    over_link, on_spot = (
        [{name: row[name] for name in counted} for row in rows[each]]
        for each in ("box", "box itself")
    )
    assert sorted(map(str, over_link)) == sorted(map(str, on_spot))
    flags = {row["invalid"] for row in rows["box"]}
    assert flags <= {"", "clock"}, "the client of a busy machine may be late"
    for each in ("box", "mini"):
        for row in rows[each]:
            unseen_ns = row["first_token_ns"] - row["server_first_token_ns"]
            assert unseen_ns >= 2 * DELAY_NS, "the client waits for the link, the engine does not"
