"""Days as people write them in headings and on the command line. Pure.

A heading's day is taken where it can be only one: `2026-10-01`, `2026/10/01`, `1 October 2026`,
`Oct 1st, 2026`, `October 2026` (its first day), `31.10.2026`. `10/01/2026` may be two days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from fleet.errors import UserError

FIRST_DAY = date(2023, 6, 1)
"""Ollama is not older."""
EXAMPLE = "write --date 2025-08-14, or --date 2025-08"

_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_NAME = rf"(?P<name>{'|'.join(_MONTHS)}|sept|{'|'.join(name[:3] for name in _MONTHS)})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_FORMS = tuple(
    re.compile(rf"(?<![\w./-]){form}(?![\w/-]|\.\d)", re.IGNORECASE)
    for form in (
        rf"{_YEAR}([-/])(?P<month>\d\d)\2(?P<day>\d\d)"
        r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::\d\d)?)?",
        rf"{_DAY}\.? (?:of )?{_NAME},? {_YEAR}",
        rf"{_NAME} {_DAY},? {_YEAR}",
        rf"(?P<one>\d{{1,2}})([-/.])(?P<other>\d{{1,2}})\2{_YEAR}",
        rf"{_YEAR}-(?P<month>\d\d)",
        rf"{_NAME},? {_YEAR}",
    )
)


@dataclass(frozen=True, slots=True)
class HeadingDate:
    """What a heading says of the day; `day` is None where it may be several, or none."""

    line: int
    text: str
    day: datetime | None


def date_in_heading(heading: str, line: int) -> HeadingDate | None:
    """Return what a heading says of the day; None where it says nothing."""
    written = list(_written(heading))
    if not written:
        return None
    days = {day for _, day in written}
    text = ", ".join(text for text, _ in written)
    return HeadingDate(line, text, days.pop() if len(days) == 1 else None)


def _written(heading: str) -> Iterator[tuple[str, datetime | None]]:
    """Yield each day as it is written, and as it is meant."""
    for form in _FORMS:
        for match in form.finditer(heading):
            yield match[0], _meant(match.groupdict())
        heading = form.sub(lambda match: "#" * len(match[0]), heading)


def _meant(part: dict[str, str | None]) -> datetime | None:
    """Return the day; None where there is no such day, or where day and month may be either."""
    month = part.get("month") or _number_of(part.get("name"))
    day: str | int | None = part.get("day") or 1
    if part.get("one") is not None:
        first, other = sorted((int(part["one"] or 0), int(part["other"] or 0)))
        if first != other <= 12:
            return None
        month, day = first, other
    clock = int(part.get("hour") or 0), int(part.get("minute") or 0)
    try:
        return datetime(int(part["year"] or 0), int(month or 0), int(day or 0), *clock)
    except ValueError:
        return None


def _number_of(month: str | None) -> int:
    return next(
        (n for n, name in enumerate(_MONTHS, 1) if name[:3] == (month or "")[:3].lower()), 0
    )


def read_date(text: str) -> datetime:
    """Read `2025-08` (its first day), `2025-08-14` or `2025-08-14T10:30`, with or without a zone.

    Raises UserError.
    """
    whole = f"{text}-01" if re.fullmatch(r"\d{4}-\d{2}", text) else text
    try:
        return datetime.fromisoformat(whole)
    except ValueError as problem:
        raise UserError(f"{text!r} is no date", EXAMPLE) from problem


def check_date(written: datetime, now: datetime, place: str) -> None:
    """Check a day; raises UserError where nobody can have measured then. `now` has a zone."""
    day = f"{place}: {written.date()}"
    if written.date() < FIRST_DAY:
        raise UserError(f"{day} is before Ollama was there ({FIRST_DAY})", EXAMPLE)
    today = now if written.tzinfo is None else now.astimezone(written.tzinfo)
    if written.date() > today.date():
        raise UserError(f"{day} lies in the future (today is {today.date()})", EXAMPLE)
