"""Send Ray's own messages to a file, never to the screen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray._private import worker


class RayLog:
    """A text file that only grows; a message that cannot be written is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, text: str) -> None:
        """Append a message with its time."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(f"{moment}  {text.rstrip()}\n")

    def take_prints(self) -> None:
        """Take over what a driver's thread prints of raylets and GCS; Ray has no setting for it."""
        worker.print_to_stdstream = self._print

    def _print(self, data: Mapping[str, Any], ignore_prefix: bool) -> None:
        self.note("\n".join(map(str, data.get("lines", ()))))
