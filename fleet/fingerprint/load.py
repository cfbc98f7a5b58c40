"""How busy the machine is with others than fleet and its engine, at this moment."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fleet.fingerprint.facts import ask, facts
from fleet.model.gates import BUSY_PERCENT
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.load import Process, family, foreign_percent, parse_proc, parse_ps
from fleet.readers.text import whole

APART_S = 0.2
"""Between the two looks of Linux, which counts in hundredths of a second."""
STATS = ("sh", "-c", "cat /proc/stat /proc/[0-9]*/stat 2>/dev/null")
PS = ("ps", "-A", "-o", "pid=,ppid=,%cpu=,comm=")
ENGINES = re.compile(r"^(?:ollama|llama-server|llama-runner)", re.IGNORECASE)
STARTERS = re.compile(r"^(?:fleet|python|ray|pt_main)", re.IGNORECASE)
"""What starts a worker of fleet and works for it: a coordinator, or a node of Ray."""
NOBODY = re.compile(r"(?!)")
NAME = "foreign_cpu_percent"


class LoadProbe:
    """`own`: this process; what it started counts as fleet too, and what started it to work."""

    name = "load"
    tells = frozenset({NAME})

    def __init__(self, commands: Commands, own: int, sleep: Callable[[float], None]) -> None:
        self._commands, self._own, self._sleep = commands, own, sleep

    def available(self) -> bool:
        return True

    def collect(self) -> Sequence[Fact]:
        first = ask(self._commands, *STATS)
        before = parse_proc(first.text)
        if before is None:
            return self._mac()
        self._sleep(APART_S)
        after = parse_proc(ask(self._commands, *STATS).text)
        if after is None:
            return facts("/proc/stat", {NAME: None})
        # One that ended in between is ours all the same, so both looks tell who is.
        own = self._family(before.processes) | self._family(after.processes)
        percent = foreign_percent(before, after, own)
        return facts(f"/proc/stat twice, {APART_S} s apart", {NAME: _rounded(percent)})

    def _mac(self) -> list[Fact]:
        """`ps` gives each process a mean over the last minute or less."""
        answer = ask(self._commands, *PS)
        processes = parse_ps(answer.text)
        cores = whole(ask(self._commands, "sysctl", "-n", "hw.logicalcpu").text.strip())
        if not processes or not cores:
            return facts("ps", {NAME: None}, answer.why)
        own = self._family(processes)
        busy = sum(process.ticks for process in processes if process.pid not in own)
        return facts("ps, a mean over up to a minute", {NAME: _rounded(min(busy / cores, 100.0))})

    def _family(self, processes: Sequence[Process]) -> set[int]:
        return family(processes, fleets_own(processes, self._own), ENGINES)


def fleets_own(processes: Sequence[Process], own: int | None) -> set[int]:
    """Return this process, what started it to work, and all that these have started."""
    names = {process.pid: process.name for process in processes}
    this = [process for process in processes if process.pid == own]
    starters = {p.parent for p in this if STARTERS.match(names.get(p.parent, ""))}
    return family(processes, {p.pid for p in this} | starters, NOBODY)


def busiest(percents: Sequence[float | None]) -> float | None:
    """Of several GPUs; None while one that does not tell may be too busy to measure beside."""
    known = [percent for percent in percents if percent is not None]
    most = max(known, default=None)
    if most is None or (len(known) < len(percents) and most <= BUSY_PERCENT):
        return None
    return most


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 1)
