"""Which experiments have a living coordinator on this machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Coordinating:
    """One lock file per experiment; the kernel frees it when its coordinator dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, experiment: str) -> bool:
        self._folder.mkdir(exist_ok=True)
        handle = os.open(self._folder / f"{experiment}.lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._held[experiment] = handle
        return True

    def release(self) -> None:
        for handle in self._held.values():
            os.close(handle)
        self._held.clear()

    def held_by_another(self, experiment: str) -> bool:
        if experiment in self._held or not (self._folder / f"{experiment}.lock").exists():
            return False
        free = self.take(experiment)
        if free:
            os.close(self._held.pop(experiment))
        return not free
