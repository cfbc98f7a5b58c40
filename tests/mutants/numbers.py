"""What a number is changed into."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

LARGE = 1000
"""From here on a step of 1 is no change that anybody could see: the number is doubled or halved."""

ROUNDING = 1e-6
"""A bound of rounding: no right result depends on whether it is twice as large."""


def other_numbers(literal: str) -> Iterator[str]:
    """Yield one more and one less; of large numbers and of shares the double and the half."""
    value = float(ast.literal_eval(literal))
    if 0 < value < ROUNDING:
        return
    whole = not re.search(r"[.e]", literal) or literal.startswith("0x")
    if value > LARGE or 0 < value < 1 or (not whole and value != int(value)):
        yield _shown(value * 2, whole)
        yield _shown(value / 2, whole)
        return
    yield _shown(value + 1, whole)
    if value >= 1:
        yield _shown(value - 1, whole)


def _shown(value: float, whole: bool) -> str:
    return str(int(value)) if whole else f"{value:.12g}" if value != int(value) else f"{value}"
