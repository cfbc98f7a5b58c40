"""Files are whole or not there, and locks hold between all users of a machine."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fleet import durable
from fleet.durable import FOR_ALL_USERS, FileLock
from fleet.errors import UserError
from fleet.exclusive import lock_folder
from fleet.store.publish import publish

NOBODY = 65534
TAKE = """
import os
import sys
from pathlib import Path
from fleet.durable import FileLock, FOR_ALL_USERS
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
lock = FileLock(Path(sys.argv[1]), FOR_ALL_USERS)
print(lock.take(), lock.noted())
"""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls that make something durable, in their order."""
    done: list[str] = []
    for name in ("fsync", "replace", "link"):
        call = getattr(os, name)

        def noted(*words: object, _name: str = name, _call: object = call) -> object:
            kind = "folder" if _name == "fsync" and _is_folder(words[0]) else ""
            done.append(f"{_name} {kind}".strip())
            return _call(*words)  # type: ignore[operator]

        monkeypatch.setattr(os, name, noted)
    return done


def _is_folder(handle: object) -> bool:
    return isinstance(handle, int) and stat.S_ISDIR(os.fstat(handle).st_mode)


def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_it_counts(
    tmp_path: Path, steps: list[str]
) -> None:
    durable.replace(tmp_path / "a", b"new")
    assert steps == ["fsync", "replace", "fsync folder"]
    steps.clear()
    assert durable.create(tmp_path / "b", b"mine")
    assert steps == ["fsync", "link", "fsync folder"]


def test_a_new_file_is_on_the_disk_when_it_counts_as_written(
    tmp_path: Path, steps: list[str]
) -> None:
    durable.write_new(tmp_path / "a", b"new")
    assert steps == ["fsync"]
    steps.clear()
    publish({tmp_path / "b": b"rows", tmp_path / "mark": b"whole"}, tmp_path)
    assert steps == ["fsync", "fsync", "link", "fsync folder", "link", "fsync folder"]


def test_what_another_process_has_made_stays(tmp_path: Path) -> None:
    assert durable.create(tmp_path / "id", b"first")
    assert not durable.create(tmp_path / "id", b"second")
    assert (tmp_path / "id").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["id"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable.replace(tmp_path / "a", b"old")

    def full(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        durable.replace(tmp_path / "a", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    durable.replace(tmp_path / "token", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_lock_is_held_by_one_and_waited_for_until_the_stop(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.take()
    assert not second.take()
    stop = threading.Event()
    stop.set()
    assert not second.wait(stop)
    first.release()
    assert second.wait(threading.Event())
    second.release()


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "folder"])
def test_what_is_no_file_of_its_own_is_no_lock(tmp_path: Path, kind: str) -> None:
    """Else whoever may write to the folder could have another file truncated."""
    victim, lock = tmp_path / "victim", tmp_path / "lock"
    victim.write_text("precious")
    if kind == "symlink":
        lock.symlink_to(victim)
    elif kind == "hardlink":
        lock.hardlink_to(victim)
    else:
        lock.mkdir()
    with pytest.raises((UserError, IsADirectoryError)):
        FileLock(lock)
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("owner", [0, NOBODY])
def test_two_users_exclude_each_other(owner: int) -> None:
    """In a folder for all, where Linux lets nobody create the file of another user's."""
    folder = Path("/var/tmp") / f"fleet-test-{os.getpid()}-{owner}"
    folder.mkdir()
    folder.chmod(0o1777)
    path = folder / "machine.lock"
    try:
        if owner == NOBODY:
            assert taken(path, NOBODY) == "True "
        mine = FileLock(path, FOR_ALL_USERS)
        assert mine.take()
        mine.note("17 gpt-oss")
        assert taken(path, NOBODY) == "False 17 gpt-oss"
        mine.release()
        assert taken(path, NOBODY) == "True 17 gpt-oss"
    finally:
        path.unlink(missing_ok=True)
        folder.rmdir()


def taken(path: Path, user: int) -> str:
    """What a process prints that has become another user's."""
    done = subprocess.run(
        [sys.executable, "-c", TAKE, str(path), str(user)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip("\n")


def test_the_locks_of_a_machine_lie_where_every_user_finds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FLEET_LOCKS")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("fleet.exclusive.SHARED", {sys.platform: (tmp_path / "none", tmp_path)})
    assert lock_folder() == tmp_path / "fleet"
    assert stat.S_IMODE((tmp_path / "fleet").stat().st_mode) == 0o1777
    assert lock_folder() == tmp_path / "fleet"
