"""Reads moments as the clock on a machine's wall showed them: the same for every reader."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

ALL_IN_UTC = "set TimeZone = 'UTC'"
"""For each connection: else a moment's text, and its day, would be those of the reader's zone."""

DAY_S = 86_400


def zoned(wall_clock: object, utc_offset_s: object) -> datetime | None:
    """Return the moment of a `started_local` with its offset, of UTC where that is not known."""
    if not isinstance(wall_clock, datetime):
        return None
    offset_s = utc_offset_s if isinstance(utc_offset_s, int) else 0
    if abs(offset_s) >= DAY_S:
        return None
    return wall_clock.replace(tzinfo=timezone(timedelta(seconds=offset_s)))
