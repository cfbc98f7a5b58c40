"""Which experiments have a living coordinator on this machine."""

from __future__ import annotations

from pathlib import Path

from fleet.durable import FileLock


class Coordinating:
    """One lock file per experiment; the kernel frees it when its coordinator dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}

    def take(self, experiment: str) -> bool:
        self._folder.mkdir(exist_ok=True)
        lock = FileLock(self._folder / f"{experiment}.lock")
        if not lock.take():
            lock.release()
            return False
        self._held[experiment] = lock
        return True

    def release(self) -> None:
        for lock in self._held.values():
            lock.release()
        self._held.clear()

    def held_by_another(self, experiment: str) -> bool:
        if experiment in self._held or not (self._folder / f"{experiment}.lock").exists():
            return False
        free = self.take(experiment)
        if free:
            self._held.pop(experiment).release()
        return not free
