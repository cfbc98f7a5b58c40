"""The owner's Ollama, kept by systemd, launchd, the app or by hand: restarted only where allowed.

The programs that keep it are played, see `fake_bin`; the servers are processes of their own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.commands import SystemCommands
from fleet.engines.ollama import Ollama, restart
from fleet.errors import EngineNotRestarted
from fleet.model.machine import EngineRestart
from fleet.owner.allowed import Allowed, write
from fleet.owner.ownership import OwnersOllama
from fleet.readers.run_as import RunAs
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
        *("Darwin", "osascript -e 'quit app \"Ollama\"', then open -a Ollama"),
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

    def __init__(self, fleet: Fleet | None, mac: FakeMac, host: str, system: str) -> None:
        mac.set(uname=system)
        kept = ("PATH", "HOME", "FAKE_MAC", "FLEET_STATE")
        self.world = {k: v for k, v in mac.environment().items() if k in kept}
        self.world["OLLAMA_HOST"] = host
        self.mac, self._fleet = mac, fleet
        systemctl = f"{mac.bin}/systemctl restart ollama.service"
        mac.rule.write_text(f"#{os.getuid()} ALL=(root) NOPASSWD: {systemctl}\n")

    def __call__(self, *words: str, code: int | None = 0) -> Any:
        assert self._fleet is not None
        return self._fleet(*words, code=code, env=self.world)


def asked(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {"engine": {"kind": "ollama"}, "restart_engine": True, "repeats": 1}
    plain["gates"] = "record"  # the load is that of the machine which runs the tests
    return experiment({}, **{**plain, **changes})


@contextmanager
def owners(
    mac: FakeMac, kind: str, system: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[OwnersOllama, Ollama]]:
    """This process on the machine, where restart-ollama is allowed."""
    with mac.kept(kind) as host:
        for name, value in Machine(None, mac, host, system).world.items():
            monkeypatch.setenv(name, value)
        permission = mac.folder / "allowed.json"
        write(permission, Allowed(kinds=frozenset({"restart-ollama"})))
        url = f"http://{host}"
        yield OwnersOllama(url, SystemCommands(), permission), Ollama(url, clock=SystemClock())


@pytest.mark.parametrize("kind", RESTARTS)
def test_each_kind_is_restarted_by_what_keeps_it(
    mac: FakeMac, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, typed, steps = RESTARTS[kind]
    with owners(mac, kind, system, monkeypatch) as (ollama, engine):
        name = {"launchd": "homebrew.mxcl.ollama", "app": "Ollama"}.get(kind, "ollama.service")
        assert ollama.run_as() == RunAs(kind=kind, name=name)  # type: ignore[arg-type]
        assert ollama.restart_words() == EngineRestart(how=typed)
        before = mac.owners_pid()
        assert ollama.restart(engine) is engine
        assert [step for step in mac.steps() if "sysctl" not in step] == steps
        assert mac.owners_pid() != before
        (mac.folder / "allowed.json").unlink()
        assert "may not restart it" in ollama.restart_words().refusal
        with pytest.raises(EngineNotRestarted, match="may not restart"):
            ollama.restart(engine)
        assert [step for step in mac.steps() if "sysctl" not in step] == steps


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
def test_one_started_by_hand_is_never_restarted(
    mac: FakeMac, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owners(mac, "by hand", system, monkeypatch) as (ollama, engine):
        before = mac.owners_pid()
        with pytest.raises(EngineNotRestarted, match="by hand and would lose its terminal"):
            ollama.restart(engine)
        assert mac.owners_pid() == before


@pytest.mark.parametrize(
    ("kind", "fault", "words"),
    [
        ("systemd", "ignored", "is still the same process after"),
        ("systemd", "ends", "does not answer after"),
        ("systemd", "newer", "came back with version 0.40.0, before it was 0.32.15"),
        ("app", "ends", "does not answer after osascript -e 'quit app \"Ollama\"', then open"),
    ],
)
def test_a_restart_that_did_not_give_the_same_engine_is_found_out(
    mac: FakeMac, kind: str, fault: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart, "ANSWERS_S", 0.5)
    with owners(mac, kind, RESTARTS[kind][0], monkeypatch) as (ollama, engine):
        mac.faults(restart=fault)
        with pytest.raises(EngineNotRestarted, match=words):
            ollama.restart(engine)


KILLED = """
import os, sys
from pathlib import Path
from fleet.clock import SystemClock
from fleet.commands import SystemCommands
from fleet.engines.ollama import Ollama
from fleet.owner.ownership import OwnersOllama
folder = Path(os.environ["FAKE_MAC"])
(folder / "life.pid").write_text(str(os.getpid()))
url = sys.argv[1]
owners = OwnersOllama(url, SystemCommands(), folder / "allowed.json")
owners.restart(Ollama(url, clock=SystemClock()))
"""


def test_an_app_that_was_quit_is_opened_again_though_fleet_is_killed_between(
    mac: FakeMac, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owners(mac, "app", "Darwin", monkeypatch):
        before = mac.owners_pid()
        url = f"http://{os.environ['OLLAMA_HOST']}"
        mac.faults(kill={"step": len(mac.steps()) + 1, "when": "after"})
        done = subprocess.run([sys.executable, "-c", KILLED, url], check=False)
        assert done.returncode == -signal.SIGKILL
        until(lambda: mac.owners_pid() not in (before, None))
        assert mac.steps()[-2:] == ["quit", "open"]


def test_submit_restarts_it_before_each_trial_where_that_is_allowed(
    fleet: Fleet, mac: FakeMac
) -> None:
    fleet.write(asked())
    typed = RESTARTS["systemd"][1]
    with mac.kept("systemd") as host:
        here = Machine(fleet, mac, host, "Linux")
        refused = here("submit", "configs/demo.yaml", code=2).err
        assert (
            "fleet may not restart it; to allow this: fleet join --allow restart-ollama" in refused
        )
        assert "fleet join --restart-command 'systemctl restart ollama'" in refused
        assert f"by: {typed}" in here("join", "--allow", "restart-ollama").err
        plan = here("plan", "configs/demo.yaml").out
        assert f"restarts Ollama before each trial: {typed}" in plan
        assert mac.steps() == [], "nothing is touched by a plan"
        here("submit", "configs/demo.yaml")
        assert mac.steps() == ["restart"]
    rows = fleet.rows("select engine_restarted as anew, outcome from trials")
    assert rows == [{"anew": True, "outcome": "ok"}]
    [fact] = fleet.rows("""select distinct facts->'ollama_run_as'->>'value' as told
        from fingerprints""")
    assert fact["told"] == "systemd unit ollama.service"


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

        httpx.post(f"http://{host}/api/generate", json=load, timeout=600, trust_env=False)
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
        assert "fleet restarts and unloads nothing of yours; trials begin at any hour" in before
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
        assert "fleet leave removes it" in damaged
        assert "cannot be read" in here("submit", "tiny", code=3).err
        assert "which could not be read, is removed" in here("leave").out
        assert "no part of a fleet runs here" in here("leave").out
