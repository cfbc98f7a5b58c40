"""Values out of parsed documents (JSON, property lists) whose shape nobody promises."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice

from fleet.readers.text import one_space

MOST_BEGINNINGS = 40
"""Lines at which a document is looked for; a tool prints its few warnings, then the document."""
_BEGINNING = re.compile(r"^[^{\[\n]*?([{\[])", re.MULTILINE)


def parse_json(text: str) -> object:
    """Return the longest JSON object or list in the text; None where there is none.

    Tools print warnings before it and after it, on lines of their own, and control characters
    within a text.
    """
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return _longest(text)


def _longest(text: str) -> object:
    decoder, longest, document, end = json.JSONDecoder(strict=False), 0, None, 0
    for match in islice(_BEGINNING.finditer(text), MOST_BEGINNINGS):
        start = match.start(1)
        if start < end:
            continue  # inside of a document
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as problem:
            if _is_cut_off(problem):
                break  # all that follows is inside of it
            continue
        if end - start > longest:
            longest, document = end - start, value
    return document


def _is_cut_off(problem: Exception) -> bool:
    if not isinstance(problem, json.JSONDecodeError):
        return False
    at_the_end = problem.pos >= len(problem.doc.rstrip())
    return at_the_end or problem.msg.startswith("Unterminated string")


def mapping(value: object) -> Mapping[str, object]:
    """Return the value if it is an object; an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object]:
    """Return the value if it is a list; an empty one otherwise."""
    return value if isinstance(value, list) else ()


def number(value: object) -> float | None:
    """Return a finite number if the value is one; a text is not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def as_text(value: object) -> str | None:
    """Return the value as text; another version of a tool may write a bare number."""
    figure = number(value)
    return text_of(value) if figure is None else f"{value}"


def text_of(value: object) -> str | None:
    return one_space(value) if isinstance(value, str) else None
