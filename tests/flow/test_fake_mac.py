"""fleet on a Mac whose programs are played: the whole life of a wired limit, from submit on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fake_bin
from tests.builders_flow import Fleet, experiment, until
from tests.fake_bin import FakeMac

SITE = Path(fake_bin.__file__).parent / "site"
LIMITS = {"num_ctx": 1024, "wired_limit_mb": ["default", 81_920]}

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="servers are found in /proc"
)


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[FakeMac]:
    mac = FakeMac(tmp_path / "mac")
    yield mac
    until(lambda: mac.own_servers() == [])


@pytest.fixture
def fleet(tmp_path: Path, mac: FakeMac, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SITE), str(SITE.parents[2])]))
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.clear()


def world(mac: FakeMac) -> dict[str, str]:
    return {
        name: value
        for name, value in mac.environment().items()
        if name in ("PATH", "HOME", "FAKE_MAC", "FLEET_STATE")
    }


def limits(host: str, **changes: object) -> dict[str, object]:
    engine = {"kind": "ollama", "host": host}
    return {**experiment({}, engine=engine, settings=LIMITS, repeats=1, gates="record"), **changes}


def test_both_limits_are_measured_and_the_mac_is_as_before(fleet: Fleet, mac: FakeMac) -> None:
    mac.set_limit(77_824)
    with mac.ollama() as host:
        fleet.write(limits(host))
        plan = fleet("plan", "configs/demo.yaml", env=world(mac)).out
        assert "wired_limit_mb=81920 adds 8.0 GiB to its default of 73728 MiB" in plan
        fleet("submit", "configs/demo.yaml", env=world(mac))
    rows = fleet.rows("""
        select wired_limit_mb as asked, wired_limit_applied_mb as applied,
          gpu_limit_effective_mb as effective, gpu_limit_mb as found, outcome
        from trials order by all""")
    assert [tuple(row.values()) for row in rows] == [
        ("81920", 81_920, 81_920, 77_824, "ok"),
        ("default", 0, 73_728, 77_824, "ok"),
    ]
    assert mac.limit_mb == 77_824


def test_a_worker_killed_while_it_measures_is_put_right(fleet: Fleet, mac: FakeMac) -> None:
    with mac.ollama() as host:
        fleet.write(limits(host, settings={"num_ctx": 1024, "wired_limit_mb": 81_920}))
        running = fleet.start("submit", "configs/demo.yaml", env=world(mac))
        until(lambda: mac.limit_mb == 81_920 and mac.own_servers())
        worker = min(
            int(each.name)
            for each in Path("/proc").iterdir()
            if each.name.isdigit() and _is_worker_of(each, mac)
        )
        os.kill(worker, signal.SIGKILL)
        running.end()
        assert mac.limit_mb == 81_920
        until(lambda: mac.own_servers() == [])
        fleet("plan", "configs/demo.yaml", env=world(mac))
    assert mac.limit_mb == 0


def test_a_mac_that_does_not_allow_it_is_left_alone(fleet: Fleet, mac: FakeMac) -> None:
    mac.helper.unlink()
    with mac.ollama() as host:
        fleet.write(limits(host))
        done = fleet("submit", "configs/demo.yaml", code=2, env=world(mac))
    assert "to allow it there: fleet join --allow wired-limit" in done.err
    assert [step for step in mac.steps() if "sudo" in step] == []


def _is_worker_of(process: Path, mac: FakeMac) -> bool:
    try:
        mine = f"FAKE_MAC={mac.folder}\0".encode() in (process / "environ").read_bytes()
        return mine and b"fleet.worker" in (process / "cmdline").read_bytes()
    except OSError:
        return False


@pytest.fixture
def logged(mac: FakeMac) -> None:
    """The owner's Ollama writes its log where the app of a Mac does."""
    folder = mac.folder / "home" / ".ollama" / "logs"
    folder.mkdir(parents=True)
    (folder / "server.log").symlink_to(mac.folder / "owner.log")


CONFLICT = "set to 90000 MiB, Ollama works with 73728 MiB"


@pytest.mark.usefixtures("logged")
def test_a_limit_that_was_set_and_is_not_in_effect_is_told_everywhere(
    fleet: Fleet, mac: FakeMac
) -> None:
    """Set by hand while Ollama runs: it goes on with the limit that it found at its start."""
    with mac.ollama() as host:
        mac.set_limit(90_000)
        env = world(mac) | {"OLLAMA_HOST": host}
        facts = fleet("machines", "--here", "--json", env=env).json()["facts"]
        assert {name: facts[name]["value"] for name in LIMIT_FACTS} == {
            "wired_limit_mb": 90_000,
            "engine_gpu_limit_mb": 73_728,
            "gpu_limit_mb": 73_728,
            "gpu_limit_conflict": CONFLICT,
        }
        told = fleet("doctor", "--json", code=1, env=env).json()["checks"]
        [check] = [one for one in told if one["name"] == "wired limit"]
        assert (check["state"], check["found"]) == ("unfit", f"wired limit {CONFLICT}")
        assert "restart" in check["hint"]
        fleet.write(limits(host, settings={"num_ctx": 1024}))
        plan = fleet("plan", "configs/demo.yaml", env=env).out
        assert f"wired limit {CONFLICT}; restart Ollama to measure under it" in plan
        assert "GPU memory 72.0 GiB" in plan
        fleet("submit", "configs/demo.yaml", env=env)
        only_set = limits(host, settings={"num_ctx": 1024, "wired_limit_mb": 81_920})
        fleet.write(only_set, "limits")
        assert CONFLICT not in fleet("plan", "configs/limits.yaml", env=env).out
    [row] = fleet.rows("select trial_id, gpu_limit_mb, gpu_limit_conflict from trials")
    assert (row["gpu_limit_mb"], row["gpu_limit_conflict"]) == (73_728, CONFLICT)
    assert f"wired limit {CONFLICT}" in fleet("show", row["trial_id"]).out


@pytest.mark.usefixtures("logged")
def test_a_limit_that_is_in_effect_is_no_conflict(fleet: Fleet, mac: FakeMac) -> None:
    mac.set_limit(90_000)
    with mac.ollama() as host:
        env = world(mac) | {"OLLAMA_HOST": host}
        facts = fleet("machines", "--here", "--json", env=env).json()["facts"]
    assert {name: facts[name]["value"] for name in LIMIT_FACTS} == {
        "wired_limit_mb": 90_000,
        "engine_gpu_limit_mb": 90_010,  # the log has one decimal of a GiB
        "gpu_limit_mb": 90_000,
        "gpu_limit_conflict": None,
    }
    assert facts["gpu_limit_conflict"]["state"] == "absent"


LIMIT_FACTS = ("wired_limit_mb", "engine_gpu_limit_mb", "gpu_limit_mb", "gpu_limit_conflict")
