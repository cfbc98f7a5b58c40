"""The machine's lock, and what its last holder noted in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.exclusive import MachineLock


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
