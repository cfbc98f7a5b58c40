"""Reads days, months, years and spans of them, as a person writes them. Pure."""

from __future__ import annotations

import re
from datetime import date

from fleet.errors import UserError

EXAMPLES = "write 2026-11-20, 2026-11, 2026, or 2026-11-01..2026-11-20"
_WRITTEN = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_FIRST_DAY = "0000-01-01"


def in_period(day: str, period: str) -> bool:
    """Return whether a day lies in `2026-11-20`, `2026-11`, `2026`, `2026-11-01..2026-11-20`.

    Both ends belong to a span.
    """
    first, _, last = period.partition("..")
    return first <= day and (day.startswith(last) or day <= last if last else day.startswith(first))


def check_period(period: str) -> None:
    """Raise UserError for a period that no day of the calendar can lie in."""
    first, dots, last = period.partition("..")
    if not all(map(is_in_calendar, (first, last) if dots else (first,))):
        raise UserError(f"{period}: no day, month or year", EXAMPLES)
    if dots and first > last and not first.startswith(last):
        raise UserError(f"{period}: it ends before it begins", EXAMPLES)


def is_in_calendar(text: str) -> bool:
    """Return whether a text is a day, a month or a year as ISO 8601 writes it."""
    if not _WRITTEN.fullmatch(text):
        return False
    try:
        date.fromisoformat(text + _FIRST_DAY[len(text) :])
    except ValueError:
        return False
    return True
