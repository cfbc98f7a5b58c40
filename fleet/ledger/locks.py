"""Which experiments have a living coordinator on this machine."""

from __future__ import annotations

from pathlib import Path

from fleet.durable import FileLock, make_private


class Coordinating:
    """One lock file for each experiment; the kernel frees it when its coordinator dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}

    def take(self, experiment: str) -> bool:
        """Take the lock of an experiment; False: another coordinator has it."""
        make_private(self._folder)
        lock = FileLock(self._folder / f"{experiment}.lock")
        if not lock.take():
            lock.release()
            return False
        self._held[experiment] = lock
        return True

    def release(self) -> None:
        """Free all locks that this object took."""
        for lock in self._held.values():
            lock.release()
        self._held.clear()

    def held_by_another(self, experiment: str) -> bool:
        """Tell whether another coordinator runs this experiment."""
        if experiment in self._held or not (self._folder / f"{experiment}.lock").exists():
            return False
        free = self.take(experiment)
        if free:
            self._held.pop(experiment).release()
        return not free
