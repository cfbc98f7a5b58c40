"""Hours of the day within which trials may begin on a machine, by its own local time."""

from __future__ import annotations

import re
from dataclasses import dataclass

HOUR_MIN, DAY_MIN = 60, 24 * 60
EXAMPLE = "22-07, 22:30-06:15, or 0-24 for the whole day"
_FORM = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes after midnight, without the end; an end before the begin is on the next day."""

    begin_min: int
    end_min: int

    @classmethod
    def read(cls, text: str) -> Hours:
        """Read `22-07` or `22:30-06:15`; raises ValueError that shows the form."""
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no span of hours; write {EXAMPLE}")
        begin, end = _minute(match[1], match[2]), _minute(match[3], match[4])
        if begin is None or end is None or begin == DAY_MIN:
            raise ValueError(f"{text!r}: a day has 0:00 to 24:00; write {EXAMPLE}")
        if begin == end:
            raise ValueError(f"{text!r} is no time at all; write {EXAMPLE}")
        return cls(begin, end)

    def __str__(self) -> str:
        return f"{_shown(self.begin_min)}-{_shown(self.end_min)}"

    def hold(self, minute: int) -> bool:
        """Tell whether this minute of the day is within the hours."""
        if self.begin_min < self.end_min:
            return self.begin_min <= minute < self.end_min
        return minute >= self.begin_min or minute < self.end_min

    def within_s(self, minute: int, span_s: float) -> float:
        """Return how many of the next `span_s` seconds, from this minute, are within the hours."""
        days, rest_s = divmod(span_s, DAY_MIN * 60)
        held = sum(self.hold(at) for at in range(DAY_MIN))
        rest = sum(self.hold((minute + at) % DAY_MIN) for at in range(round(rest_s / 60)))
        return (days * held + rest) * 60.0


def _minute(hours: str, minutes: str | None) -> int | None:
    """Return the minute of the day; None if no day has such a time."""
    within_hour = int(minutes or 0)
    minute = int(hours) * HOUR_MIN + within_hour
    return minute if within_hour < HOUR_MIN and minute <= DAY_MIN else None


def _shown(minute: int) -> str:
    hour, rest = divmod(minute, HOUR_MIN)
    return f"{hour:02d}:{rest:02d}" if rest else f"{hour:02d}"
