"""The system's clocks, in one place so that tests can step their own; and its time zone."""

from __future__ import annotations

import time
from datetime import datetime

from fleet.ports import Stop
from fleet.units import NS_PER_S


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


def utc_offset_s(unix_ns: int) -> int | None:
    """How far this machine's local time is ahead of UTC at that moment.

    None where its time zone has no answer for such a moment.
    """
    try:
        return time.localtime(unix_ns // NS_PER_S).tm_gmtoff
    except (OverflowError, OSError, ValueError):
        return None


def in_local_zone(written: datetime) -> datetime:
    """Return the moment that a person wrote: in this machine's time zone where the text names none.

    A time that a clock skips in spring becomes the moment so long after the skip.
    """
    if written.tzinfo is not None:
        return written
    moments = [written.replace(fold=fold).astimezone() for fold in (written.fold, 1 - written.fold)]
    shown = [moment for moment in moments if moment.replace(tzinfo=None) == written]
    return shown[0] if shown else max(moments)
