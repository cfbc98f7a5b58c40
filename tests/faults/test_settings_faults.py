"""The life of a wired limit on a fake Mac, cut off by SIGKILL at each of its steps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders_flow import until
from tests.fake_bin import FakeMac

OWNERS_MB = 70_000
"""Set by the owner before: neither the default nor what the trial wants."""
WANTED_MB = 81_920

OPENED = ["journal fsync", "journal replace", "journal fsync"]
LIFE = [
    "sysctl iogpu.wired_limit_mb",
    *OPENED,
    f"sudo {WANTED_MB}",
    f"sysctl iogpu.wired_limit_mb={WANTED_MB}",
    "sysctl iogpu.wired_limit_mb",
    "ollama serve",
    "measuring",
    "sysctl iogpu.wired_limit_mb",
    "sysctl iogpu.wired_limit_mb",
    "sysctl iogpu.wired_limit_mb",
    f"sudo {OWNERS_MB}",
    f"sysctl iogpu.wired_limit_mb={OWNERS_MB}",
    "sysctl iogpu.wired_limit_mb",
    *OPENED,
    "journal unlink",
    "journal fsync",
]
"""Every step of one life, in order; a kill comes before or after the effect of each."""

EACH = [(step, when) for step in range(1, len(LIFE) + 1) for when in ("before", "after")]
CHANGED = range(LIFE.index(f"sudo {WANTED_MB}") + 1, LIFE.index(f"sudo {OWNERS_MB}") + 1)
"""Steps at which the limit is, or may be, another one."""


@pytest.fixture
def mac(tmp_path: Path) -> Iterator[FakeMac]:
    if not Path("/proc/self/environ").exists():
        pytest.skip("servers are found in /proc")
    mac = FakeMac(tmp_path / "mac", **{"iogpu.wired_limit_mb": str(OWNERS_MB)})
    yield mac
    until(lambda: mac.own_servers() == [])


def life(mac: FakeMac, host: str = "", **settings: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and what was printed; without settings: only the next start of a worker."""
    words = [json.dumps(settings)] if settings else []
    done = subprocess.run(
        [sys.executable, "-m", "tests.fake_bin.life", *words],
        env=mac.environment(OLLAMA_HOST=host),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1, -9), done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


def journal(mac: FakeMac) -> list[str]:
    return sorted(path.name for path in (mac.folder / "state" / "settings").glob("*.json"))


def test_the_whole_life_in_its_order(mac: FakeMac) -> None:
    with mac.ollama() as host:
        code, told = life(mac, host, wired_limit_mb=WANTED_MB)
    assert (code, told["wired_limit_mb"], told["gpu_limit_mb"]) == (0, WANTED_MB, WANTED_MB)
    assert told["own"], "the owner's Ollama read its limit long ago"
    assert mac.steps() == LIFE
    assert mac.limit_mb == OWNERS_MB
    assert journal(mac) == ["mac.closed.json"]


def killed_at(mac: FakeMac, step: int, when: str) -> None:
    with mac.ollama() as host:
        mac.faults(kill={"step": step, "when": when})
        code, _ = life(mac, host, wired_limit_mb=WANTED_MB)
        assert code == -9, "it was to be killed"
        mac.faults()
    until(lambda: mac.own_servers() == [])
    assert step not in CHANGED or mac.limit_mb in (OWNERS_MB, WANTED_MB)
    assert (mac.limit_mb == OWNERS_MB) or "mac.open.json" in journal(mac)
    code, _ = life(mac)
    assert (code, mac.limit_mb) == (0, OWNERS_MB)
    assert "mac.open.json" not in journal(mac)


@pytest.mark.parametrize("name", [f"sudo {WANTED_MB}", "measuring"])
def test_a_kill_while_the_limit_is_changed_is_put_right(mac: FakeMac, name: str) -> None:
    killed_at(mac, LIFE.index(name) + 1, "after")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("step", "when"), EACH, ids=[f"{when} {step} {LIFE[step - 1]}" for step, when in EACH]
)
def test_a_kill_at_any_step_is_put_right(mac: FakeMac, step: int, when: str) -> None:
    killed_at(mac, step, when)
