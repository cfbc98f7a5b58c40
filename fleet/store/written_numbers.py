"""Numbers and durations as people write them: grouped, with a comma, with a space before the unit.

A value that may be one of two is not guessed: `1,374` is 1374 as a count, but of a duration it is
not known whether it is 1.374 or 1374. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from fleet.units import GO_UNITS_NS

LONGEST = 40
"""Letters of a number: no machine counts or measures one that is longer."""
NUMBER = r"\d++(?:[.,'\u2019_ ]\d++)*+"

_PLAIN = re.compile(r"\d+(?:[.,]\d+)?")
_GROUPED = re.compile(r"\d{1,3}(?:([ ,.'\u2019_])\d{3})(?:\1\d{3})*(?:(?!\1)[.,]\d+)?")
_PARTS = re.compile(rf"({NUMBER}) ?(h|ms|m|s|µs|μs|us|ns)(?![a-zµμ])")
DURATION = rf"(?:{NUMBER} ?(?:h|ms|m|s|µs|μs|us|ns)(?![a-zA-Zµμ]) ?)+"


@dataclass(frozen=True, slots=True)
class Number:
    """A value, and how much one in its last printed place is worth."""

    value: Decimal
    place: Decimal

    @property
    def rounding(self) -> Decimal:
        """How far the value may be from the one that was rounded to it."""
        return self.place / 2

    def times(self, factor: int) -> Number:
        return Number(self.value * factor, self.place * factor)


def numbers(text: str) -> tuple[Number, ...]:
    """Return every number that the text may mean; none where it is no number."""
    if len(text) > LONGEST:
        return ()
    meanings = []
    if _PLAIN.fullmatch(text):
        meanings.append(_number(text.replace(",", ".")))
    grouped = _GROUPED.fullmatch(text)
    if grouped is not None and not (grouped[1] == "." and text.count(".") == 1 and "," not in text):
        whole, sign, fraction = _at_decimal_sign(text, grouped[1])
        meanings.append(_number(re.sub(r"\D", "", whole) + (f".{fraction}" if sign else "")))
    return tuple(meanings)


def counts(text: str) -> tuple[Number, ...]:
    """Return the whole numbers that the text may mean."""
    return tuple(number for number in numbers(text) if number.place == 1)


def durations_ns(text: str) -> tuple[Number, ...]:
    """Return the nanoseconds of `1m2.202324708s`, `59.6 ms` or `59,6ms`, as each may be meant."""
    parts = _PARTS.findall(text)
    if not parts or _PARTS.sub("", text).strip():
        return ()
    totals = [Number(Decimal(0), Decimal(0))]
    for digits, unit in parts:
        each = [number.times(GO_UNITS_NS[unit]) for number in numbers(digits)]
        totals = [Number(t.value + n.value, n.place) for t in totals for n in each][:4]
    return tuple(totals)


def _at_decimal_sign(text: str, group_sign: str) -> tuple[str, str, str]:
    other = next((sign for sign in ".," if sign != group_sign and sign in text), None)
    return (text, "", "") if other is None else text.rpartition(other)


def _number(digits: str) -> Number:
    value = Decimal(digits)
    _, _, exponent = value.as_tuple()
    return Number(value, Decimal(1).scaleb(exponent) if isinstance(exponent, int) else Decimal(1))
