"""Feeds recorded samples again, each at its own time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from fleet.ports import Clock, Sample


class Replay:
    """`samples` in order of time; their `at_ns` count from the first reading on."""

    def __init__(
        self,
        samples: Sequence[Sample],
        clock: Clock,
        *,
        name: str = "replay",
        pace: Literal["power", "state", "stream"] = "power",
    ) -> None:
        self.name = name
        self.pace: Literal["power", "state", "stream"] = pace
        self._samples = samples
        self._clock = clock
        self._begun_ns: int | None = None
        self._next = 0

    def available(self) -> bool:
        return bool(self._samples)

    def read(self) -> Sequence[Sample]:
        """What has become due since the reading before."""
        now_ns = self._clock.monotonic_ns()
        if self._begun_ns is None:
            self._begun_ns = now_ns
        due = []
        while self._next < len(self._samples):
            sample = self._samples[self._next]
            at_ns = self._begun_ns + (sample.at_ns or 0)
            if at_ns > now_ns:
                break
            due.append(replace(sample, at_ns=at_ns))
            self._next += 1
        return due

    def close(self) -> None:
        self._begun_ns, self._next = None, 0
