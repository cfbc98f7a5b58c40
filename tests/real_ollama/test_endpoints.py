"""Machines on which only Ollama runs, measured from here beside this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ollama_server
from tests.builders_flow import Fleet, experiment
from tests.tools.install_ollama import NEWEST

pytestmark = pytest.mark.real_ollama

EXPERIMENT = experiment(
    {},
    name="road",
    models=["gpt-oss:20b"],
    settings={"num_ctx": 2048, "num_thread": 1},
    repeats=2,
    gates={"policy": "record", "residents_are_mine": True},
    engine={"kind": "ollama"},
)
OF_THIS_MACHINE = (
    *("os", "os_version", "os_build", "kernel", "power_source", "foreign_cpu_percent"),
    *("gpu", "gpu_driver", "gpu_limit_mb", "memory_pressure"),
)


def test_endpoints_are_machines_of_their_own(fleet: Fleet, tmp_path: Path) -> None:
    """This machine, and two endpoints: one declared in the file, the other on the command line."""
    ollama_server.skip_or_fail(NEWEST)
    folders = [tmp_path / name for name in ("here", "box", "mini")]
    for folder in folders:
        folder.mkdir()
    with (
        ollama_server.real_ollama(folders[0]) as here,
        ollama_server.real_ollama(folders[1]) as box,
        ollama_server.real_ollama(folders[2]) as mini,
    ):
        declared = {"chip": "Ryzen 9 7950X", "memory_gb": 64, "endpoint": box.base_url}
        fleet.write({"version": 1, "machines": {"box": declared}}, "fleet")
        words = ("--endpoint", f"mini={mini.base_url}")
        own = {"OLLAMA_HOST": here.base_url}
        done = fleet("submit", fleet.write(EXPERIMENT), *words, env=own)
    assert "6 trials asked for: 6 measured" in done.err
    rows = fleet.rows("select * from trials where outcome = 'ok' order by machine, block")
    by_name = {name: [r for r in rows if r["machine"] == name] for name in ("box", "mini")}
    local = [row for row in rows if row["machine"] not in by_name]
    assert [len(each) for each in (*by_name.values(), local)] == [2, 2, 2]
    assert len({row["machine_id"] for row in rows}) == 3
    assert {row["engine_version"] for row in rows} == {NEWEST.ollama}
    for row in (*by_name["box"], *by_name["mini"]):
        assert row["measured_over"] == "network"
        assert 0 < row["round_trip_ns"] < 10**9
        assert [name for name in OF_THIS_MACHINE if row[name] is not None] == []
    assert [row["chip"] for row in by_name["box"]] == ["Ryzen 9 7950X"] * 2
    assert [row["chip"] for row in by_name["mini"]] == [None] * 2
    assert all(row["round_trip_ns"] is None for row in local)
    assert {row["measured_over"] for row in local} == {"local"}
    table = fleet("results", "road").out
    assert "over the network: box, mini: rates are the engine's own" in table
    assert "over the network  round trip" in fleet("show", by_name["box"][0]["trial_id"]).out
