"""The wired limit on a fake Mac: what goes wrong is told, and nothing stays changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fleet import folders, wiring
from fleet.app import allowing
from fleet.commands import SystemCommands
from fleet.errors import SettingFailed, SettingStuck, UserError
from fleet.owner import permission
from fleet.settings import wired_limit
from fleet.settings.journal import Entry, Journal
from fleet.settings.wired_limit import SHIPPED, WiredLimit, boot_unix_s
from tests.fake_bin import FakeMac


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMac:
    mac = FakeMac(tmp_path / "mac")
    for name, value in mac.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wired_limit, "HELPER", mac.helper)
    monkeypatch.setattr(wired_limit, "ROOT", os.getuid())
    return mac


@pytest.fixture
def limit(mac: FakeMac) -> WiredLimit:
    return WiredLimit(SystemCommands())


def test_set_read_and_put_back(mac: FakeMac, limit: WiredLimit) -> None:
    assert (limit.refusal(), limit.current()) == ("", 0)
    limit.apply(81_920)
    limit.verify(81_920)
    assert mac.limit_mb == limit.current() == 81_920
    limit.restore(0)
    limit.verify(0)
    assert mac.limit_mb == 0
    done = len(mac.steps())
    limit.restore(0)
    assert not any("sudo" in step for step in mac.steps()[done:]), "it is 0 already"


def test_when_the_system_started(mac: FakeMac) -> None:
    assert boot_unix_s(SystemCommands()) == 1_700_000_000
    mac.set(**{"kern.boottime": "long ago"})
    assert boot_unix_s(SystemCommands()) is None
    mac.set(**{"kern.boottime": "{ sec = 99999999999999, usec = 0 }"})
    assert boot_unix_s(SystemCommands()) is None, "no system starts in three million years"


def test_why_it_may_not_be_set(mac: FakeMac, limit: WiredLimit) -> None:
    (mac.folder / "sudoers").unlink()
    assert "sudo does not let this user run" in limit.refusal()
    with pytest.raises(SettingFailed, match="password is required"):
        limit.apply(81_920)
    mac.helper.write_text("#!/bin/sh\nexec sysctl $1\n")
    assert "of another version of fleet" in limit.refusal()
    mac.helper.chmod(0o777)
    assert "root alone can write" in limit.refusal()
    mac.helper.chmod(0o755)
    mac.helper.parent.chmod(0o775)
    assert "root alone can write" in limit.refusal(), "a folder's writer may exchange what is in it"
    mac.helper.parent.chmod(0o755)
    mac.helper.unlink()
    mac.helper.symlink_to(SHIPPED)
    assert "root alone can write" in limit.refusal(), "what a link points to may be exchanged"
    mac.helper.unlink()
    assert limit.refusal() == (
        "fleet may not set the wired limit; to allow it there: fleet join --allow wired-limit"
    )
    assert mac.limit_mb == 0


def test_a_helper_of_another_owner_is_not_trusted(
    limit: WiredLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wired_limit, "ROOT", os.getuid() + 1)
    assert "root alone can write" in limit.refusal()


@pytest.mark.parametrize(
    ("fault", "words"),
    [("refused", "Operation not permitted"), ("ignored", "is 0 after it was set to 81920")],
)
def test_a_limit_that_does_not_change(
    mac: FakeMac, limit: WiredLimit, fault: str, words: str
) -> None:
    mac.faults(set=fault)
    with pytest.raises(SettingFailed, match=words):
        _applied(limit, 81_920)


def _applied(limit: WiredLimit, value: int) -> None:
    limit.apply(value)
    limit.verify(value)


def test_a_helper_that_hangs_is_left_behind(
    mac: FakeMac, limit: WiredLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wired_limit, "HELPER_DEADLINE_S", 0.3)
    mac.faults(set="hangs")
    with pytest.raises(SettingFailed, match="no answer within"):
        limit.apply(81_920)
    mac.faults()  # it is left behind, and goes on


@pytest.mark.parametrize(
    ("fault", "words"), [("fails", "cannot be read: sysctl: unknown oid"), ("garbage", "'lots'")]
)
def test_a_reading_that_is_none(mac: FakeMac, limit: WiredLimit, fault: str, words: str) -> None:
    mac.faults(read=fault)
    with pytest.raises(SettingFailed, match=words):
        limit.current()
    with pytest.raises(SettingFailed):
        limit.verify(0)


def test_a_machine_without_the_programs(
    limit: WiredLimit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "sudo does not let" in limit.refusal()
    for call in (limit.current, lambda: limit.apply(0), lambda: limit.verify(0)):
        with pytest.raises(SettingFailed):
            call()


def helper(mac: FakeMac, *words: str, memory: str | None = None) -> tuple[int, str]:
    """As root would run it, with the one path in it changed for the fake one."""
    if memory is not None:
        mac.set(**{"hw.memsize": memory})
    text = SHIPPED.read_text().replace("/usr/sbin/sysctl", str(mac.bin / "sysctl"))
    done = subprocess.run(
        ["/bin/sh", "-c", text, "helper", *words],
        env={**os.environ, "FAKE_ROOT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", ["0", "24576", "81920", "90112"])
def test_the_helper_sets_a_number_within_the_bounds_of_this_machine(
    mac: FakeMac, number: str
) -> None:
    assert helper(mac, number) == (0, "")
    assert mac.limit_mb == int(number)


WRONG = [
    (), ("81920", "81920"), ("",), ("-1",), ("+81920",), ("081920",), ("00",), ("8e4",),
    ("81920 ",), ("81920\n",), ("81920;id",), ("$(id)",), ("-n",), ("90113",), ("24575",), ("1",),
    ("999999999",), ("9" * 23,), ("８１９２０",), ("iogpu.wired_limit_mb=0",),
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=repr)
def test_the_helper_takes_nothing_else(mac: FakeMac, words: tuple[str, ...]) -> None:
    code, said = helper(mac, *words)
    assert code == 65
    assert said.startswith("fleet-wired-limit: ")
    assert (mac.limit_mb, mac.steps()) == (0, [])


@pytest.mark.parametrize("memory", ["", "lots", "-5"])
def test_the_helper_needs_to_know_the_memory(mac: FakeMac, memory: str) -> None:
    assert helper(mac, "81920", memory=memory)[0] == 65
    assert helper(mac, "0")[0] == 0, "the default can always be had back"


def test_a_mac_of_8_gb_can_only_have_its_default(mac: FakeMac) -> None:
    assert helper(mac, "4096", memory=str(8 * 2**30))[0] == 65


def test_the_helper_can_be_read_in_five_minutes() -> None:
    lines = [line for line in SHIPPED.read_text().splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith("#")]) < 40


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMac:
    """A Mac on which nothing is allowed yet."""
    mac = FakeMac(tmp_path / "mac", allowed=False)
    for name, value in mac.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wired_limit, "HELPER", mac.helper)
    monkeypatch.setattr(wired_limit, "ROOT", os.getuid())
    monkeypatch.setattr(permission, "RULE", mac.rule)
    return mac


def test_the_owner_allows_it_and_takes_it_back(fresh: FakeMac) -> None:
    said: list[str] = []
    assert not allowing.disallow(said.append)
    allowing.allow(["wired-limit"], said.append, "darwin")
    assert [line.split()[:2] for line in said[1:4]] == [
        ["visudo", "-c"], ["sudo", "install"], ["sudo", "install"],
    ]  # fmt: skip
    assert oct(fresh.helper.stat().st_mode & 0o777) == "0o755"
    assert oct(fresh.rule.stat().st_mode & 0o777) == "0o440"
    limit = WiredLimit(SystemCommands())
    assert limit.refusal() == ""
    limit.apply(81_920)
    assert allowing.disallow(said.append)
    assert not fresh.helper.exists()
    assert not fresh.rule.exists()
    assert "fleet may not set the wired limit" in limit.refusal()


def test_what_a_trial_changed_is_put_back_before_the_helper_goes(fresh: FakeMac) -> None:
    allowing.allow(["wired-limit"], print, "darwin")
    fresh.set_limit(81_920)
    machine_id, _ = wiring.settings_here()
    entry = Entry(
        setting=wired_limit.KEY, before=0, wanted=81_920, attempt_id="a", written_unix_ns=2 * 10**18
    )
    Journal(folders.settings_folder(), machine_id).begin(entry)
    fresh.faults(set="refused")
    with pytest.raises(SettingStuck):
        allowing.disallow(print)
    assert fresh.helper.exists()
    fresh.faults()
    assert allowing.disallow(print)
    assert fresh.limit_mb == 0


def test_without_the_password_nothing_is_allowed(fresh: FakeMac) -> None:
    fresh.faults(password="wrong")
    with pytest.raises(UserError, match="ended with status 1"):
        allowing.allow(["wired-limit"], print, "darwin")
    assert not fresh.helper.exists()


@pytest.mark.parametrize(
    ("kind", "system", "words"),
    [("wired-limt", "darwin", "did you mean wired-limit"), ("wired-limit", "linux", "only a Mac")],
)
def test_what_cannot_be_allowed(kind: str, system: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        allowing.allow([kind], print, system)
