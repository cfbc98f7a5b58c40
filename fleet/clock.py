"""The system's clocks, in one place so that tests can step their own."""

from __future__ import annotations

import time

from fleet.ports import Stop


class SystemClock:
    def unix_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def suspended_ns(self) -> int:
        """Linux and macOS each have a clock that runs on in sleep, and one that does not."""
        if hasattr(time, "CLOCK_BOOTTIME"):
            awake, always = time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME
        elif hasattr(time, "CLOCK_UPTIME_RAW"):
            awake, always = time.CLOCK_UPTIME_RAW, time.CLOCK_MONOTONIC
        else:
            return 0
        return time.clock_gettime_ns(always) - time.clock_gettime_ns(awake)

    def sleep(self, seconds: float, stop: Stop) -> None:
        stop.wait(seconds)
