"""Replay readings of a real machine on a scripted one, each at its own time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from fleet.ports import Clock, Sample
from fleet.units import NS_PER_S

SOURCE = "recorded"
POWER = ("_power_w", "_energy_joules")


def samples(recorded: Mapping[str, Sequence[tuple[float, float]]]) -> list[Sample]:
    """Return the samples of `MachineScript.recorded`, ordered by time."""
    readings = [
        (round(at_s * NS_PER_S), metric, value)
        for metric, curve in recorded.items()
        for at_s, value in curve
    ]
    return [
        Sample(metric=metric, value=value, source=SOURCE, at_ns=at_ns)
        for at_ns, metric, value in sorted(readings)
    ]


class Replay:
    """A probe that replays samples ordered by time; `at_ns` counts from the first reading."""

    name = "replay"

    def __init__(self, samples: Sequence[Sample], clock: Clock) -> None:
        """Take the cadence of power if the samples include power."""
        tells_power = any(sample.metric.endswith(POWER) for sample in samples)
        self.pace: Literal["power", "state", "stream"] = "power" if tells_power else "state"
        self._samples = samples
        self._clock = clock
        self._begun_ns: int | None = None
        self._next = 0

    def available(self) -> bool:
        """Return whether there is anything to replay."""
        return bool(self._samples)

    def read(self) -> Sequence[Sample]:
        """Return the samples that have become due since the last reading."""
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
        """Start again with the next trial."""
        self._begun_ns, self._next = None, 0
