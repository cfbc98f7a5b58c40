"""The machine's lock, and what its last holder noted in it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fleet.exclusive import MachineLock, lock_folder


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_LOCKS", str(tmp_path))


def test_a_note_stays_for_the_next_holder_until_it_is_another() -> None:
    first = MachineLock("machine-a")
    assert first.take()
    assert first.noted() == ""
    first.note("17 a long name of a model")
    first.release()

    second = MachineLock("machine-a")
    assert second.take()
    assert second.noted() == "17 a long name of a model"
    second.note("18 b")
    assert second.noted() == "18 b"
    second.note("")
    second.release()
    assert MachineLock("machine-a").noted() == ""
    assert MachineLock("machine-b").noted() == ""


def test_two_users_that_are_first_at_the_same_time_share_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one makes the folder, and holds a lock in it, while this one makes its own."""
    monkeypatch.delenv("FLEET_LOCKS")
    monkeypatch.setattr("fleet.exclusive.SHARED", {sys.platform: (tmp_path,)})
    folder, make = tmp_path / "fleet", tempfile.mkdtemp

    def made_by_the_other_too(*words: str, **named: Any) -> str:
        folder.mkdir()
        folder.chmod(0o1777)
        (folder / "machine-a.lock").touch(0o666)
        return make(*words, **named)

    monkeypatch.setattr("tempfile.mkdtemp", made_by_the_other_too)
    assert lock_folder() == folder
    assert (folder / "machine-a.lock").exists()
    assert list(tmp_path.iterdir()) == [folder]
    assert folder.stat().st_mode & 0o7777 == 0o1777
