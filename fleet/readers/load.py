"""How busy the processors are, and with whom: two looks some time apart."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fleet.model.quantities import COUNT, FIELDS
from fleet.readers.text import real, whole

_PROCESS = re.compile(r"(\d{1,10}) \((.*)\) [A-Za-z] (-?\d.*)", re.ASCII)
_PARENT, _USER, _SYSTEM, _USER_OF_ENDED, _SYSTEM_OF_ENDED = 0, 10, 11, 12, 13
"""Fields after the state in /proc/PID/stat, counted from 0 (proc(5))."""
COUNTED = 8
"""user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already."""
LEAST_COUNTED = 5
"""Of the oldest kernels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of the list of processes; a line with a number that cannot be is none."""

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
    if ticks is None:
        return None
    total = sum(ticks)
    processes = tuple(process for process in map(_process, lines) if process is not None)
    return Look(total=total, busy=total - ticks[3] - ticks[4], processes=processes)


def parse_ps(text: str) -> tuple[Process, ...]:
    """`ps -A -o pid=,ppid=,%cpu=,comm=` of macOS; `ticks` is percent of one core."""
    lines = (line.split(None, 3) for line in text.splitlines())
    processes = (
        _possible(whole(pid), whole(parent), path.rsplit("/", 1)[-1], real(share.replace(",", ".")))
        for pid, parent, share, path in (words for words in lines if len(words) == 4)
    )
    return tuple(process for process in processes if process is not None)


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
    """Return these processes, those with such names, and all their descendants."""
    known = list(processes)
    members = {
        process.pid for process in known if process.pid in pids or names.search(process.name)
    }
    grown = True
    while grown:
        more = {p.pid for p in known if p.parent in members and p.pid not in members}
        members |= more
        grown = bool(more)
    return members


def _ticks(line: str) -> list[int] | None:
    """None as soon as one cannot be: without it the others would stand in its place."""
    numbers = [whole(word) for word in line.split()[1 : COUNTED + 1]]
    known = [number for number in numbers if number is not None and not COUNT.problem(number)]
    return known if len(known) == len(numbers) >= LEAST_COUNTED else None


def _process(line: str) -> Process | None:
    match = _PROCESS.fullmatch(line.strip())
    values = [whole(word) for word in match[3].split()] if match else []
    if match is None or len(values) <= _SYSTEM_OF_ENDED:
        return None
    used = (values[at] for at in (_USER, _SYSTEM, _USER_OF_ENDED, _SYSTEM_OF_ENDED))
    ticks = [number for number in used if number is not None and not COUNT.problem(number)]
    total = float(sum(ticks)) if len(ticks) == 4 else None
    return _possible(int(match[1]), values[_PARENT], match[2], total)


def _possible(
    pid: int | None, parent: int | None, name: str, ticks: float | None
) -> Process | None:
    """None where one of its numbers is unknown, or cannot be."""
    if pid is None or parent is None or ticks is None:
        return None
    numbers = {"pid": pid, "parent": parent, "ticks": ticks}
    if any(FIELDS[field].problem(number) for field, number in numbers.items()):
        return None
    return Process(pid=pid, parent=parent, name=name, ticks=ticks)
