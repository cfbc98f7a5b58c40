"""What comes in from an engine, checked where it comes in: numbers by a table, text, JSON.

An engine is a program of somebody else, and what answers at its address may be anything. A number
that its quantity cannot have is refused here, so that no row holds it and no rate is made of it.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass

from fleet.units import NS_PER_S

LONGEST_WORD = 200
LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Between which bounds a whole number can lie."""

    name: str
    unit: str
    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.name} is from {self.least} to {self.most} {self.unit}".rstrip()


TOKENS = Quantity(name="a count of tokens", unit="", least=0, most=2**31 - 1)
"""Engines count the tokens of a context in 32 bits."""
CONTEXT_TOKENS = Quantity(name="a context", unit="tokens", least=1, most=2**31 - 1)
DURATION_NS = Quantity(name="a duration", unit="ns", least=0, most=30 * 86_400 * NS_PER_S)
"""No request takes a month."""
SIZE_BYTES = Quantity(name="a size", unit="bytes", least=0, most=2**50)
"""A pebibyte: more than any machine that runs a model has, and exact as a float."""
PARAMETERS = Quantity(name="a count of parameters", unit="", least=1, most=10**15)
EXPERTS = Quantity(name="a count of experts", unit="", least=1, most=2**20)
DIMENSION = Quantity(name="a dimension of a tensor", unit="", least=1, most=2**40)
STAMP_UNIX_NS = Quantity(
    name="a time",
    unit="ns since 1970",
    least=946_684_800 * NS_PER_S,
    most=4_102_444_800 * NS_PER_S,
)
"""From 2000 to 2100."""
EXPIRY_UNIX_NS = Quantity(
    name="a time",
    unit="ns since 1970",
    least=STAMP_UNIX_NS.least,
    most=253_402_300_800 * NS_PER_S,
)
"""To the end of year 9999: a model that never goes is said to go in 292 years. Never stored."""

QUANTITIES = (
    *(TOKENS, CONTEXT_TOKENS, DURATION_NS, SIZE_BYTES, PARAMETERS, EXPERTS, DIMENSION),
    *(STAMP_UNIX_NS, EXPIRY_UNIX_NS),
)


def whole(value: object, quantity: Quantity) -> int | None:
    """Return the value as a whole number, or None if the quantity cannot have it.

    A float without a fraction is a whole number: some servers write 131072.0. True is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not value.is_integer():  # infinity and NaN are not either
        return None
    number = int(value)
    return number if quantity.least <= number <= quantity.most else None


def refusal(name: str, value: object, quantity: Quantity) -> str:
    """Why a number was refused, in words that may be shown."""
    return f"{name} is {_shown(value)}, and {quantity}"


def text(value: object, longest: int = LONGEST_WORD) -> str:
    """One line of text that may be shown on a terminal; empty where the value is no text.

    Control characters, line ends among them, become spaces.
    """
    if not isinstance(value, str):
        return ""
    start = value[: 4 * longest]
    line = " ".join("".join(" " if _is_control(c) else c for c in start).split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def whole_characters(words: str) -> str:
    """Return the text with the halves of surrogate pairs joined; a half alone becomes U+FFFD.

    JSON may hold half a pair, and two chunks of an answer a half each. No file can hold one.
    """
    if words.isascii():
        return words
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def json_of(body: bytes | str) -> object:
    """Parse JSON; raises ValueError for everything else, however deep it is nested."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def _is_control(character: str) -> bool:
    return unicodedata.category(character)[0] == "C"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"the text {text(value, 40)!r}"
    if value is None or isinstance(value, (bool, int, float)):
        return text(json.dumps(value), 40)
    return "a list" if isinstance(value, list) else "a mapping"
