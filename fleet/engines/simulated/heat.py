"""How warm a scripted machine is: it warms up while it answers, and cools down while idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fleet.engines.simulated.schedule import STEADY, Pace
from fleet.model.script import Throttle
from fleet.units import NS_PER_S


class Heat:
    """Used by all threads of the server. Times are real: the scripted ones at the time scale.

    Every second of answering adds one of heat, every idle one takes one away. At `after_s` the
    machine slows down, and it stays slow until all heat is gone.
    """

    def __init__(self, throttle: Throttle | None, time_scale: float) -> None:
        self._throttle = throttle
        self._limit_ns = throttle.after_s * time_scale * NS_PER_S if throttle else 0.0
        self._heat_ns = 0.0
        self._throttled = False
        self._answering = 0
        self._at_ns = 0
        self._lock = threading.Lock()

    @contextmanager
    def answering(self, from_ns: int) -> Iterator[Pace]:
        """Yield the pace of an answer that begins then (monotonic) and ends with the block."""
        pace = self.begin(from_ns)
        try:
            yield pace
        finally:
            self.end(time.monotonic_ns())

    def begin(self, now_ns: int) -> Pace:
        if self._throttle is None:
            return STEADY
        with self._lock:
            self._pass(now_ns)
            self._answering += 1
            full_ns = 0.0 if self._throttled else self._limit_ns - self._heat_ns
            return Pace(full_ns=full_ns, to=self._throttle.to)

    def end(self, now_ns: int) -> None:
        with self._lock:
            self._pass(now_ns)
            self._answering = max(self._answering - 1, 0)

    def thermal_class(self, now_ns: int) -> str | None:
        """As macOS would name it; None: this machine never gets hot, and tells nothing."""
        if self._throttle is None:
            return None
        with self._lock:
            self._pass(now_ns)
            return "heavy" if self._throttled else "nominal"

    def state(self, now_ns: int) -> Mapping[str, float]:
        with self._lock:
            self._pass(now_ns)
            return {"heat_ns": self._heat_ns, "throttled": float(self._throttled)}

    def restore(self, state: Mapping[str, float], now_ns: int) -> None:
        """Go on from another server's state: after a restart the machine is as warm as before."""
        with self._lock:
            self._heat_ns, self._throttled = state["heat_ns"], bool(state["throttled"])
            self._at_ns = now_ns

    def _pass(self, now_ns: int) -> None:
        elapsed_ns = max(now_ns - self._at_ns, 0) if self._at_ns else 0
        self._at_ns = max(now_ns, self._at_ns)
        if self._throttle is None:
            return
        if self._answering:
            self._heat_ns = min(self._heat_ns + elapsed_ns, self._limit_ns)
        else:
            self._heat_ns = max(self._heat_ns - elapsed_ns, 0.0)
        if self._heat_ns >= self._limit_ns:
            self._throttled = True
        elif self._heat_ns <= 0:
            self._throttled = False
