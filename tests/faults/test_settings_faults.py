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
        timeout=600,
        check=False,
    )
    assert done.returncode in (0, 1, -9), done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}


def journal(mac: FakeMac) -> list[str]:
    """Which journals the machine has: `open` or `closed`."""
    files = (mac.folder / "state" / "settings").glob("*.json")
    return sorted(path.name.split(".")[-2] for path in files)


def test_the_whole_life_in_its_order(mac: FakeMac) -> None:
    with mac.ollama() as host:
        code, told = life(mac, host, wired_limit_mb=WANTED_MB)
    assert (code, told["wired_limit_mb"], told["gpu_limit_mb"]) == (0, WANTED_MB, WANTED_MB)
    assert told["own"], "the owner's Ollama read its limit long ago"
    assert mac.steps() == LIFE
    assert mac.limit_mb == OWNERS_MB
    assert journal(mac) == ["closed"]


def killed_at(mac: FakeMac, step: int, when: str) -> None:
    with mac.ollama() as host:
        mac.faults(kill={"step": step, "when": when})
        code, _ = life(mac, host, wired_limit_mb=WANTED_MB)
        assert code == -9, "it was to be killed"
        mac.faults()
    until(lambda: mac.own_servers() == [])
    assert step not in CHANGED or mac.limit_mb in (OWNERS_MB, WANTED_MB)
    assert (mac.limit_mb == OWNERS_MB) or "open" in journal(mac)
    code, _ = life(mac)
    assert (code, mac.limit_mb) == (0, OWNERS_MB)
    assert "open" not in journal(mac)


@pytest.mark.parametrize("name", [f"sudo {WANTED_MB}", "measuring"])
def test_a_kill_while_the_limit_is_changed_is_put_right(mac: FakeMac, name: str) -> None:
    killed_at(mac, LIFE.index(name) + 1, "after")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("step", "when"), EACH, ids=[f"{when} {step} {LIFE[step - 1]}" for step, when in EACH]
)
def test_a_kill_at_any_step_is_put_right(mac: FakeMac, step: int, when: str) -> None:
    killed_at(mac, step, when)


@pytest.mark.parametrize(
    ("faults", "reason", "words"),
    [
        ({"set": "refused"}, "setting_failed", "Operation not permitted"),
        ({"set": "ignored"}, "setting_failed", "is 70000 after it was set to 81920"),
        ({"read": "garbage"}, "setting_failed", "no limit in MiB"),
        ({"ollama": "ends"}, "setting_failed", "address already in use"),
        ({"ollama": "silent"}, "setting_failed", "the engine does not report its own"),
        ({"ollama": "cpu"}, "setting_failed", "the engine does not report its own"),
        ({"ollama": "stale"}, "setting_failed", "but the engine works with 73728 MiB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_proven_is_not_measured(
    mac: FakeMac, faults: dict[str, str], reason: str, words: str
) -> None:
    with mac.ollama() as host:
        mac.faults(**faults)
        code, told = life(mac, host, wired_limit_mb=WANTED_MB)
    assert (code, told["error"]) == (1, reason)
    assert words in told["what"]
    assert "measuring" not in mac.steps()
    assert mac.limit_mb == OWNERS_MB
    assert "open" not in journal(mac)


def test_a_limit_that_cannot_be_put_back_is_tried_again(mac: FakeMac) -> None:
    with mac.ollama() as host:
        mac.faults(kill={"step": LIFE.index("measuring") + 1, "when": "after"})
        assert life(mac, host, wired_limit_mb=WANTED_MB)[0] == -9
    mac.faults(set="refused")
    for _ in range(2):
        code, told = life(mac)
        assert (code, told["error"]) == (1, "setting_stuck")
        assert "sudo sysctl iogpu.wired_limit_mb=70000" in told["hint"]
        assert journal(mac) == ["open"]
    mac.faults()
    assert life(mac)[0] == 0
    assert mac.limit_mb == OWNERS_MB


def test_what_the_owner_sets_meanwhile_stays(mac: FakeMac) -> None:
    with mac.ollama() as host:
        mac.faults(kill={"step": LIFE.index("measuring") + 1, "when": "after"})
        assert life(mac, host, wired_limit_mb=WANTED_MB)[0] == -9
    mac.faults()
    mac.set_limit(60_000)
    code, told = life(mac)
    assert (code, mac.limit_mb) == (0, 60_000)
    assert told["recovered"].endswith("left at 60000: somebody else has set it since")


def test_a_start_of_the_system_ends_every_change(mac: FakeMac) -> None:
    with mac.ollama() as host:
        mac.faults(kill={"step": LIFE.index("measuring") + 1, "when": "after"})
        assert life(mac, host, wired_limit_mb=WANTED_MB)[0] == -9
    mac.faults()
    mac.set(**{"kern.boottime": "{ sec = 4000000000, usec = 0 }", "iogpu.wired_limit_mb": "0"})
    code, told = life(mac)
    assert (code, mac.limit_mb) == (0, 0), "what was set by hand is forgotten too"
    assert "nothing to do" in told["recovered"]
    assert journal(mac) == ["closed"]


def test_a_damaged_journal_stops_everything(mac: FakeMac) -> None:
    folder = mac.folder / "state" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    _, told = life(mac)
    (folder / f"{told['machine_id']}.open.json").write_text("{")
    with mac.ollama() as host:
        code, told = life(mac, host, wired_limit_mb=WANTED_MB)
    assert (code, told["error"]) == (1, "setting_stuck")
    assert (mac.limit_mb, "measuring" in mac.steps()) == (OWNERS_MB, False)


def test_the_engine_s_environment_is_set_and_said(mac: FakeMac) -> None:
    with mac.ollama() as host:
        code, told = life(mac, host, flash_attention=True, kv_cache_type="q8_0", n_cpu_moe=4)
    assert (code, told["wired_limit_mb"], told["gpu_limit_mb"]) == (0, None, 70_042)
    assert told["environment"] == {
        "OLLAMA_FLASH_ATTENTION": "true", "OLLAMA_KV_CACHE_TYPE": "q8_0", "LLAMA_ARG_N_CPU_MOE": "",
    }  # fmt: skip
    assert mac.limit_mb == OWNERS_MB
    assert journal(mac) == [], "nothing of the system was changed"
