"""Numbers of a parsed record, held against the table of quantities before anything is added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from fleet.model.quantities import FIELDS, WHOLES

SLACK = 1.01
"""Tools round a part and its whole each for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a parser returns; `outside` says, by field, why a number that was printed is None."""

    outside: Mapping[str, str] = field(default_factory=dict)


Some = TypeVar("Some", bound=Record)


def bounded(record: Some) -> Some:
    """Return the record with each number outside its range replaced by None and a reason."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    reasons = {name: why for name, value in values.items() if (why := _problem(name, value))}
    for part, whole in WHOLES.items():
        if not reasons.keys() & {part, whole} and _larger(values, part, whole):
            reasons[part] = f"out of range: {values[part]}, and {whole} is {values[whole]}"
    if not reasons:
        return record
    inside = {name: _inside(name, values[name]) for name in reasons}
    return replace(record, **inside, outside=reasons)


def _problem(name: str, value: object) -> str:
    """Of a number, or of the first in a list of numbers that cannot be."""
    quantity = FIELDS.get(name)
    if quantity is None or value is None:
        return ""
    values = value if isinstance(value, tuple) else (value,)
    return next(filter(None, map(quantity.problem, values)), "")


def _inside(name: str, value: object) -> object:
    """Of a list what can be, of a single number nothing."""
    if not isinstance(value, tuple):
        return None
    return tuple(each for each in value if not FIELDS[name].problem(each))


def _larger(values: Mapping[str, object], part: str, whole: str) -> bool:
    least, most = values.get(part), values.get(whole)
    if not isinstance(least, (int, float)) or not isinstance(most, (int, float)):
        return False
    return least > most * SLACK
