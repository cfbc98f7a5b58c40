"""Whether a trial may begin now, by the hours that the owner of this machine allows.

The wall clock alone decides, minute by minute, so a day on which it is moved by an hour needs no
rule of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fleet.model.hours import DAY_MIN, HOUR_MIN, Hours
from fleet.ports import Clock, Stop
from fleet.units import NS_PER_S, show_span

LOOK_EVERY_S = 2.0
"""How often a change of the hours or of the clock is noticed."""
START_S = 300.0
"""How long after the hours begin still counts as their begin."""
MINUTE_S = 60
MOST_MIN = 3 * DAY_MIN
"""How far to look: in spring the begin of the hours can be skipped for one day, never two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whether a trial begins; `until_unix_s`: when to ask again; `message`: what to report."""

    begins: bool
    until_unix_s: float = 0.0
    message: str = ""


def held(
    hours: Callable[[], Hours | None],
    estimate_s: float,
    clock: Clock,
    stop: Stop,
    wanted: Callable[[], bool],
) -> Iterator[str]:
    """Yield why a trial of this length waits, until it may begin or is no longer wanted.

    A trial is not wanted once `stop` is set.
    """
    seen, until_s = hours(), 0.0
    while wanted():
        now_s, current = clock.unix_ns() / NS_PER_S, hours()
        if current is None:
            return
        if current != seen or now_s >= until_s:
            answer = turn(current, now_s, estimate_s)
            if answer.message:
                yield answer.message
            if answer.begins:
                return
            seen, until_s = current, answer.until_unix_s
        clock.sleep(max(min(LOOK_EVERY_S, until_s - now_s), 0.01), stop)


def turn(hours: Hours, now_s: float, estimate_s: float) -> Turn:
    """Decide for a trial of this length, at this moment."""
    if not _within(hours, now_s):
        return _waits(_changes(hours, now_s), f"measured here only {hours}")
    closes_s = _changes(hours, now_s)
    if closes_s is None or now_s + estimate_s <= closes_s:
        return Turn(begins=True)
    opened_s = _changes(hours, now_s, back=True) or 0.0
    about, end = show_span(estimate_s), _clock(closes_s)
    if estimate_s <= closes_s - opened_s - START_S:
        why = f"a trial of about {about} would not end by {end}, measured here only {hours}"
    elif now_s - opened_s <= START_S:
        return Turn(
            begins=True, message=f"begins, and will not end by {end}: it takes about {about}"
        )
    else:
        why = f"a trial of about {about} is too long for {hours}, so it begins at their start"
    return _waits(_changes(hours, closes_s), why)


def _waits(opens_s: float | None, why: str) -> Turn:
    if opens_s is None:
        return Turn(begins=True)
    return Turn(begins=False, until_unix_s=opens_s, message=f"waits until {_clock(opens_s)}: {why}")


def _changes(hours: Hours, from_s: float, *, back: bool = False) -> float | None:
    """Return when the hours next begin or end; `back`: when they last did. None if never."""
    first, within = int(from_s // MINUTE_S), _within(hours, from_s)
    for step in range(1, MOST_MIN):
        if back and _within(hours, (first - step) * MINUTE_S) != within:
            return float((first - step + 1) * MINUTE_S)
        if not back and _within(hours, (first + step) * MINUTE_S) != within:
            return float((first + step) * MINUTE_S)
    return None


def minute_of_day(unix_s: float) -> int:
    """Return the minute that the wall clock of this machine shows."""
    local = time.localtime(unix_s)
    return local.tm_hour * HOUR_MIN + local.tm_min


def _within(hours: Hours, unix_s: float) -> bool:
    return hours.hold(minute_of_day(unix_s))


def _clock(unix_s: float) -> str:
    return time.strftime("%H:%M", time.localtime(unix_s))
