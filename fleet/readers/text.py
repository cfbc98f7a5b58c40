"""Values out of printed text; what cannot be read is None, never an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

LARGEST = 2**64
"""No count that a machine tells is larger; a damaged text can hold any, which no float takes."""
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?!\d|[.,]\d|[eE][-+]?\d)", re.ASCII)
"""Nothing of `1,234`, `1.234,5` or `1e999`: half a number is another number."""

_SIZE = re.compile(r"([-+]?[\d.]{1,24}) ?([A-Za-z]*)", re.ASCII)
MIB_PER = {"": 1.0, "b": 2**-20, "kb": 2**-10, "mb": 1.0, "gb": 2.0**10, "tb": 2.0**20}


def whole(text: object) -> int | None:
    """Return the integer that `text` is; None where it is anything else, or absurd."""
    if isinstance(text, bool) or not isinstance(text, (int, str)):
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) <= LARGEST else None


def real(text: str | None) -> float | None:
    """Return the number that `text` starts with: `24576 MiB` is 24576; None where there is none."""
    match = _NUMBER.match((text or "").strip())
    if match is None:
        return None
    value = float(match[0])
    return value if abs(value) <= LARGEST else None


def rounded(text: str | None) -> int | None:
    value = real(text)
    return None if value is None else round(value)


def mebibytes(text: str | None) -> int | None:
    """Memory as whole MiB: `16380 MiB`, `16380` and `2 GiB`; None where the unit is another one.

    Programs that write MB or GB of memory mean the powers of two.
    """
    size = _SIZE.fullmatch((text or "").strip())
    value = real(size[1]) if size else None
    if size is None or value is None:
        return None
    scale = MIB_PER.get(size[2].lower().replace("ib", "b"))
    return None if scale is None else round(value * scale)


def one_space(text: str | None) -> str | None:
    """Replace each run of white space and padding NULs by one space; None if nothing is left."""
    return " ".join((text or "").replace("\0", " ").split()) or None


def pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """(key, value) of every line that has the separator, both without spaces around them."""
    for line in text.splitlines():
        key, separated, value = line.partition(separator)
        if separated and key.strip():
            yield key.strip(), value.strip()
