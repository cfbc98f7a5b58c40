"""The first line of Linux's /proc/stat: where the time of all cores went."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.readers.text import whole

_IDLE = (3, 4)
"""Columns idle and iowait."""
_COLUMNS = 8
"""user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user and nice too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuTimes:
    """Ticks of all cores since the machine booted; only differences mean anything."""

    busy: int
    total: int


def parse_cpu_times(text: str) -> CpuTimes | None:
    first = text.partition("\n")[0].split()
    ticks = [whole(word) for word in first[1 : _COLUMNS + 1]]
    known = [tick for tick in ticks if tick is not None]
    if first[:1] != ["cpu"] or len(known) != len(ticks) or len(known) <= max(_IDLE):
        return None
    return CpuTimes(busy=sum(known) - sum(known[column] for column in _IDLE), total=sum(known))
