"""Writes the files below `expected/` anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.record.recording import EXPECTED, texts
from tests.record.stores import current, older


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        homes = {"current": current(Path(folder) / "now"), "older": older(Path(folder) / "then")}
        for name, text in texts(homes):
            (EXPECTED / name).write_text(text)
            print(f"written: {EXPECTED / name}")


if __name__ == "__main__":
    main()
