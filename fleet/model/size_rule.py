"""A rule for a number, as people write it to choose machines: `>=96`, `<64` or `128`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


def comparison(text: str | int) -> tuple[str, Callable[[float], bool]]:
    """Read `>=96`, `<64` or `128` as words and a test; raises ValueError for anything else."""
    match = re.fullmatch(r"\s*(>=|<=|>|<|)\s*(\d+(?:\.\d+)?)\s*", str(text))
    if match is None:
        raise ValueError(f"{text!r} is no comparison like >=96, <64 or 128")
    sign, number = match[1], float(match[2])
    return f"{sign or '='} {match[2]}", lambda value: _OPERATORS[sign](value, number)
