"""Reserve a machine for a whole experiment."""

from __future__ import annotations

from fleet.dispatch.holders import holder_words
from fleet.exclusive import MachineLock
from fleet.ports import Clock
from fleet.units import NS_PER_S


class Reservation:
    """One experiment's hold on this machine, from its first look to its end."""

    def __init__(self, machine_id: str, name: str, clock: Clock) -> None:
        self._machine_id = machine_id
        self._name = name
        self._clock = clock
        self._lock: MachineLock | None = None

    def take(self, experiment: str) -> str:
        """Take the machine and return an empty text, or say who has it.

        The note in the lock tells later experiments who holds the machine, and since when.
        """
        if self._lock is not None:
            return ""
        lock = MachineLock(self._machine_id, whole_experiment=True)
        if lock.take():
            lock.note(f"{self._clock.unix_ns()} {experiment}")
            self._lock = lock
            return ""
        moment, _, holder = lock.noted().strip().partition(" ")
        lock.release()
        since = int(moment) / NS_PER_S if moment.isdecimal() else None
        return holder_words(self._name, holder, since)

    def release(self) -> None:
        """Give the machine back, if it is held."""
        if self._lock is not None:
            self._lock.note("")
            self._lock.release()
            self._lock = None
