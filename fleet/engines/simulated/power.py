"""What the scripted machine draws, from the schedule of its answers; exact, without sampling."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from fleet.model.script import ScriptedPower
from fleet.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class _Work:
    begin_ns: int
    end_ns: int
    watts: float
    """Above idle."""

    def joules(self, until_ns: int) -> float:
        done_ns = max(min(until_ns, self.end_ns) - self.begin_ns, 0)
        return self.watts * done_ns / NS_PER_S


class PowerMeter:
    """Used by all threads of the server. Work of several answers at once adds up."""

    def __init__(self, power: ScriptedPower) -> None:
        self._power = power
        self._begun_ns = time.monotonic_ns()
        self._work: list[_Work] = []
        self._past_joules = 0.0
        self._lock = threading.Lock()

    def work(self, begin_ns: int, first_ns: int, end_ns: int) -> None:
        """One answer: its prompt from begin to the first token, its tokens from there to the end.

        An answer that breaks off is paid for to its planned end.
        """
        idle = self._power.idle_w
        with self._lock:
            self._work.append(_Work(begin_ns, first_ns, self._power.prefill_w - idle))
            self._work.append(_Work(first_ns, end_ns, self._power.decode_w - idle))

    def read(self) -> dict[str, float | None]:
        now_ns = time.monotonic_ns()
        with self._lock:
            self._forget(now_ns)
            working = [work for work in self._work if work.begin_ns <= now_ns]
            joules = self._past_joules + sum(work.joules(now_ns) for work in working)
        joules += self._power.idle_w * (now_ns - self._begun_ns) / NS_PER_S
        return {
            "power_w": self._power.idle_w + sum(work.watts for work in working),
            "energy_joules": joules if self._power.counter else None,
        }

    def _forget(self, now_ns: int) -> None:
        done = [work for work in self._work if work.end_ns <= now_ns]
        self._past_joules += sum(work.joules(now_ns) for work in done)
        self._work = [work for work in self._work if work.end_ns > now_ns]
