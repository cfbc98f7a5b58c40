"""How busy the processors are, and with whom: two looks some time apart."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fleet.readers.text import real, whole

_PROCESS = re.compile(r"(\d{1,10}) \((.*)\) [A-Za-z] (-?\d.*)", re.ASCII)
_PARENT, _USER, _SYSTEM, _USER_OF_ENDED, _SYSTEM_OF_ENDED = 0, 10, 11, 12, 13
"""Fields after the state in /proc/PID/stat, counted from 0 (proc(5))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    pid: int
    parent: int
    name: str
    ticks: float
    """Time used, its ended children's too; percent of one core where a tool tells that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All ticks of all cores since boot, the busy ones among them, and each process."""

    total: int
    busy: int
    processes: tuple[Process, ...]


def parse_proc(text: str) -> Look | None:
    """`cat /proc/stat /proc/[0-9]*/stat`; None where the first is missing."""
    lines = text.splitlines()
    ticks = next((_ticks(line) for line in lines if line.startswith("cpu ")), None)
    if not ticks or len(ticks) < 5:
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
    counted = ticks[:8]
    total = sum(counted)
    found = tuple(process for process in map(_process, lines) if process is not None)
    return Look(total=total, busy=total - counted[3] - counted[4], processes=found)


def parse_ps(text: str) -> tuple[Process, ...]:
    """`ps -A -o pid=,ppid=,%cpu=,comm=` of macOS; `ticks` is percent of one core."""
    found = []
    for line in text.splitlines():
        words = line.split(None, 3)
        pid, parent = (whole(word) for word in (*words[:2], "", "")[:2])
        percent = real(words[2].replace(",", ".")) if len(words) == 4 else None
        if pid is not None and parent is not None and percent is not None:
            name = words[3].rsplit("/", 1)[-1]
            found.append(Process(pid=pid, parent=parent, name=name, ticks=percent))
    return tuple(found)


def foreign_percent(before: Look, after: Look, own: Collection[int]) -> float | None:
    """Percent of all cores that others than the processes `own` were busy with."""
    total = after.total - before.total
    if total <= 0:
        return None
    then = {process.pid: process.ticks for process in before.processes}
    ours = sum(
        max(0.0, process.ticks - then.get(process.pid, 0.0))
        for process in after.processes
        if process.pid in own
    )
    foreign = after.busy - before.busy - ours
    return min(max(0.0, 100 * foreign / total), 100.0)


def family(processes: Iterable[Process], pids: Collection[int], names: re.Pattern[str]) -> set[int]:
    """These processes, those with such names, and all their descendants."""
    known = list(processes)
    found = {process.pid for process in known if process.pid in pids or names.search(process.name)}
    grown = True
    while grown:
        more = {p.pid for p in known if p.parent in found and p.pid not in found}
        found |= more
        grown = bool(more)
    return found


def _ticks(line: str) -> list[int]:
    found = [whole(word) for word in line.split()[1:]]
    return [number for number in found if number is not None]


def _process(line: str) -> Process | None:
    match = _PROCESS.fullmatch(line.strip())
    values = [whole(word) for word in match[3].split()] if match else []
    if match is None or len(values) <= _SYSTEM_OF_ENDED:
        return None
    used = (values[at] for at in (_USER, _SYSTEM, _USER_OF_ENDED, _SYSTEM_OF_ENDED))
    parent, ticks = values[_PARENT], [number for number in used if number is not None]
    if parent is None or len(ticks) != 4:
        return None
    return Process(pid=int(match[1]), parent=parent, name=match[2], ticks=float(sum(ticks)))
