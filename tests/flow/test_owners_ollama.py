"""The owner's Ollama, kept by systemd, launchd, the app or by hand: restarted only where allowed.

The programs that keep it are played, see `fake_bin`; the servers are processes of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment, until
from tests.fake_bin import FakeMac

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="servers are found in /proc"
)

SUDO = "" if os.getuid() == 0 else "sudo -n "
RESTARTS = {
    "systemd": ("Linux", f"{SUDO}systemctl restart ollama.service", ["restart"]),
    "systemd user": ("Linux", "systemctl --user restart ollama.service", ["restart"]),
    "launchd": (
        *("Darwin", f"launchctl kickstart -k gui/{os.getuid()}/homebrew.mxcl.ollama"),
        ["restart"],
    ),
    "app": (
        *("Darwin", "osascript -e 'quit app \"Ollama\"', then open -g -j -a Ollama"),
        ["quit", "open"],
    ),
}


@pytest.fixture
def mac(tmp_path: Path) -> FakeMac:
    return FakeMac(tmp_path / "mac", allowed=False)


@pytest.fixture
def fleet(tmp_path: Path, mac: FakeMac) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.clear()


class Machine:
    """A machine whose owner keeps an Ollama; `fleet` runs on it as its owner would."""

    def __init__(self, fleet: Fleet, mac: FakeMac, host: str, system: str) -> None:
        mac.set(uname=system)
        kept = ("PATH", "HOME", "FAKE_MAC", "FLEET_STATE")
        self.world = {k: v for k, v in mac.environment().items() if k in kept}
        self.world["OLLAMA_HOST"] = host
        self.mac, self._fleet = mac, fleet
        systemctl = f"{mac.bin}/systemctl restart ollama.service"
        mac.rule.write_text(f"#{os.getuid()} ALL=(root) NOPASSWD: {systemctl}\n")

    def __call__(self, *words: str, code: int | None = 0) -> Any:
        return self._fleet(*words, code=code, env=self.world)

    def restarts(self) -> list[str]:
        return [step for step in self.mac.steps() if step in ("restart", "quit", "open")]


def asked(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"engine": {"kind": "ollama"}, "restart_engine": True, "repeats": 1}
    return experiment({}, **{**plain, **changes})


@pytest.mark.parametrize("kind", RESTARTS)
def test_each_kind_is_restarted_by_what_keeps_it(fleet: Fleet, mac: FakeMac, kind: str) -> None:
    system, typed, steps = RESTARTS[kind]
    fleet.write(asked())
    with mac.kept(kind) as host:
        here = Machine(fleet, mac, host, system)
        refused = here("submit", "configs/demo.yaml", code=2).err
        assert "fleet may not restart it; on it: fleet join --allow restart-ollama" in refused
        assert here.restarts() == []
        before = mac.owners_pid()
        assert f"by: {typed}" in here("join", "--allow", "restart-ollama").err
        plan = here("plan", "configs/demo.yaml").out
        assert f"restarts Ollama before each trial: {typed}" in plan
        assert mac.owners_pid() == before, "nothing is touched by a plan"
        here("submit", "configs/demo.yaml")
        assert here.restarts() == steps
        assert mac.owners_pid() != before
        here("leave")
        here("submit", "configs/demo.yaml", "--again", code=2)
        assert here.restarts() == steps
    rows = fleet.rows("select engine_restarted as anew, outcome from trials")
    assert rows == [{"anew": True, "outcome": "ok"}]
    [fact] = fleet.rows("""select distinct facts->'ollama_run_as'->>'value' as told
        from fingerprints""")
    name = {"launchd": "homebrew.mxcl.ollama"}.get(kind, "ollama.service")
    words = {"app": "app", "launchd": f"launchd service {name}", "systemd": f"systemd unit {name}"}
    assert fact["told"] == words.get(kind, f"systemd unit {name} of the user")


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_one_started_by_hand_is_never_restarted(fleet: Fleet, mac: FakeMac, system: str) -> None:
    fleet.write(asked())
    with mac.kept("by hand") as host:
        here = Machine(fleet, mac, host, system)
        said = here("join", "--allow", "restart-ollama").err
        assert "it cannot be restarted now: it was started by hand" in said
        before = mac.owners_pid()
        refused = here("submit", "configs/demo.yaml", code=2).err
        assert "was started by hand, and would lose its terminal; run it as a service" in refused
        assert "engine: {kind: ollama, restart: [systemctl, restart, ollama]}" in refused
        assert mac.owners_pid() == before


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("ignored", "is still the same process after"),
        ("newer", "came back as 0.40.0, it was 0.32.15"),
    ],
)
def test_a_restart_that_did_not_give_the_same_engine_is_a_failed_row(
    fleet: Fleet, mac: FakeMac, fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = mac.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from fleet.engines.ollama import restart\nrestart.ANSWERS_S = 0.5\n"
    )
    paths = [str(site), str(Path(__file__).parents[2])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    fleet.write(asked())
    with mac.kept("systemd") as host:
        here = Machine(fleet, mac, host, "Linux")
        here("join", "--allow", "restart-ollama")
        mac.faults(restart=fault)
        here("submit", "configs/demo.yaml", code=1)
    [row] = fleet.rows("select outcome, reason, detail, transient from trials where fence = 0")
    assert (row["outcome"], row["reason"]) == ("failed", "engine_not_restarted")
    assert words in row["detail"]
    assert row["transient"]


def test_a_model_that_others_use_is_unloaded_only_where_that_is_allowed(
    fleet: Fleet, mac: FakeMac
) -> None:
    """A trial with an environment of its own runs beside the owner's Ollama."""
    import httpx

    settings = {"num_ctx": 1024, "num_parallel": 2}
    fleet.write(asked(restart_engine=False, settings=settings))
    with mac.kept("by hand") as host:
        here = Machine(fleet, mac, host, "Linux")
        load = {"model": "tiny", "keep_alive": -1}

        def resident() -> list[str]:
            told = httpx.get(f"http://{host}/api/ps", trust_env=False).json()["models"]
            return [str(model["name"]) for model in told]

        httpx.post(f"http://{host}/api/generate", json=load, timeout=30, trust_env=False)
        assert resident() == ["tiny:latest"]
        waits = fleet.start("submit", "configs/demo.yaml", env=here.world)
        until(lambda: "running" in here("status").out)
        waits.interrupt()
        waits.end()
        assert resident() == ["tiny:latest"]
        here("join", "--allow", "restart-ollama")
        done = here("submit", "configs/demo.yaml")
        told = "unloads tiny:latest, which others had in memory: restart-ollama is allowed here"
        assert told in done.err
        assert resident() == []
    assert [row["outcome"] for row in fleet.rows("select outcome from trials")] == ["ok"]


def test_doctor_and_machines_tell_what_is_allowed_and_how_it_is_run(
    fleet: Fleet, mac: FakeMac
) -> None:
    with mac.kept("launchd") as host:
        here = Machine(fleet, mac, host, "Darwin")
        before = here("doctor", code=None).out
        assert "launchd service homebrew.mxcl.ollama; restarted by: launchctl kickstart" in before
        assert "nothing of yours is restarted or unloaded; trials begin at any hour" in before
        assert "to allow: fleet join --allow restart-ollama --hours 22-07" in before
        here("join", "--allow", "restart-ollama", "--hours", "22:30-7")
        after = here("doctor", code=None).out
        assert "fleet may restart Ollama here and unload models that others use" in after
        assert "trials begin only within 22:30-07" in after
        told = here("machines", "--here", "--json").json()
        assert (told["allowed"], told["hours"]) == (["restart-ollama"], "22:30-07")
        assert told["facts"]["ollama_run_as"]["value"] == "launchd service homebrew.mxcl.ollama"
        [file] = (mac.folder / "state").glob("*.allowed.json")
        file.write_text("{")
        damaged = here("doctor", code=1).out
        assert "unfit        permission" in damaged
        assert "fleet leave takes it away" in damaged
        assert "cannot be read" in here("submit", "tiny", code=3).err
        assert "may no longer restart Ollama" in here("leave").out
        assert "nothing of a fleet runs here" in here("leave").out
