"""Values out of parsed documents (JSON, property lists) whose shape nobody promises."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from fleet.readers.text import one_space


def parse_json(text: str) -> object:
    """The document; None where the text is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Mapping[str, object]:
    """The object that it is; empty for everything else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object]:
    """The list that it is; empty for everything else."""
    return value if isinstance(value, list) else ()


def number(value: object) -> float | None:
    """A finite number that is one already; a text is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def text_of(value: object) -> str | None:
    return one_space(value) if isinstance(value, str) else None
