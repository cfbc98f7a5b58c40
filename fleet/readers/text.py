"""Values out of printed text; what cannot be read is None, never an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

LARGEST = 2**64
"""No count that a machine tells is larger; a damaged text can hold any, which no float takes."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?!\d|[.,]\d|[eE][-+]?\d)", re.ASCII)
"""Nothing of `1,234`, `1.234,5` or `1e999`: half a number is another number."""


def whole(text: object) -> int | None:
    """The integer that `text` is; None where it is anything else, or absurd."""
    if isinstance(text, bool) or not isinstance(text, (int, str)):
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) <= LARGEST else None


def real(text: str | None) -> float | None:
    """The number that `text` starts with: `24576 MiB` is 24576; None where there is none."""
    found = _NUMBER.match((text or "").strip())
    if found is None:
        return None
    value = float(found[0])
    return value if abs(value) <= LARGEST else None


def rounded(text: str | None) -> int | None:
    value = real(text)
    return None if value is None else round(value)


def one_space(text: str | None) -> str | None:
    """Runs of white space and padding NULs as one space; None where nothing is left."""
    return " ".join((text or "").replace("\0", " ").split()) or None


def pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """(key, value) of every line that has the separator, both without spaces around them."""
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip():
            yield key.strip(), value.strip()
