"""Whatever is moved or renamed, users see what they saw: the record says what that is."""

from __future__ import annotations

from pathlib import Path

from tests.record.recording import EXPECTED, texts
from tests.record.stores import current, older


def test_what_is_printed_read_and_planned_is_what_was_recorded(tmp_path: Path) -> None:
    homes = {"current": current(tmp_path / "now"), "older": older(tmp_path / "then")}
    made = dict(texts(homes))
    assert set(made) == {file.name for file in EXPECTED.iterdir()}
    for name, text in made.items():
        wanted = (EXPECTED / name).read_text().splitlines()
        assert text.splitlines() == wanted, f"{name}: python -m tests.record writes it anew"
