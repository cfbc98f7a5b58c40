"""What is to be put back: on disk before the change, and read back or refused, never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import SettingFailed, SettingStuck
from fleet.settings.journal import Journal, SettingChange

S = 1_000_000_000


def entry(**changes: Any) -> SettingChange:
    plain: dict[str, Any] = {
        "setting": "iogpu.wired_limit_mb",
        "before": 0,
        "wanted": 81_920,
        "attempt_id": "trial-1-0",
        "written_unix_ns": 1_700_000_000 * S,
    }
    return SettingChange(**{**plain, **changes})


def test_an_entry_is_there_from_begin_to_close(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new", "mac")
    assert journal.pending() is None
    journal.begin(entry())
    assert Journal(tmp_path / "new", "mac").pending() == entry()
    assert Journal(tmp_path / "new", "other").pending() is None
    journal.close(entry(), "put back")
    assert journal.pending() is None
    closed = json.loads((tmp_path / "new" / "mac.closed.json").read_text())
    assert (closed["note"], closed["before"]) == ("put back", 0)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "null", '{"before": 0}', "\udcff", "number", "form", "negative"],
)
def test_what_cannot_be_read_is_never_guessed(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path, "mac")
    journal.begin(entry())
    whole = json.loads(journal.path.read_text())
    odd = {
        "number": {**whole, "before": "0"},
        "form": {**whole, "form": 2},
        "negative": {**whole, "before": -1},
    }
    written = json.dumps(odd[text]) if text in odd else text
    journal.path.write_bytes(written.encode(errors="surrogateescape"))
    with pytest.raises(SettingStuck) as problem:
        journal.pending()
    assert str(journal.path) in problem.value.what
    assert "remove the file" in problem.value.hint


def test_a_journal_that_cannot_be_written_allows_no_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingFailed, match="nothing was changed"):
        Journal(tmp_path / "file" / "folder", "mac").begin(entry())


@pytest.mark.parametrize(
    ("boot_unix_s", "older"),
    [(None, False), (1_699_999_000, False), (1_700_000_030, False), (1_700_000_061, True)],
)
def test_a_change_before_the_system_started_is_forgotten_by_it(
    boot_unix_s: int | None, older: bool
) -> None:
    assert entry().is_older_than(boot_unix_s) is older
