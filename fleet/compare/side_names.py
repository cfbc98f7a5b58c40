"""Names sides, and finds the side that a user's word means. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from fleet.comparability import HARDWARE_AXES
from fleet.errors import UnknownName, UserError
from fleet.names import known, natural
from fleet.query.periods import check_period, in_period
from fleet.query.variant import Variant

NOT_KNOWN = "not known"
LEAST_ID_LETTERS = 6


def side_names(
    axis: str, variants: Sequence[Variant], pool: bool, sides: Sequence[str] = ()
) -> Callable[[Variant], str]:
    """Return how a side is called; unlike hardware never shares a name unless `pool`.

    Sides named on the axis `date` may be periods: each is one side.
    """
    if axis == "machine":
        ids = defaultdict(set)
        for variant in variants:
            ids[variant.text("machine")].add(variant.text("machine_id"))
        return lambda v: _machine_name(v, len(ids[v.text("machine")]) > 1)
    if axis == "date":
        return lambda v: next((s for s in sides if is_called(v, axis, s)), _shown(v))
    if axis in HARDWARE_AXES and not pool:
        return lambda v: " ".join(filter(None, (_shown(v), _hardware_class(v, axis))))
    return _shown


def is_called(variant: Variant, axis: str, name: str) -> bool:
    """Return whether a name means this side: its value, the beginning of an id, or a period."""
    value = variant.text("axis_value")
    if value is None:
        return name == NOT_KNOWN
    if axis == "machine":
        begins = len(name) >= LEAST_ID_LETTERS and value.startswith(name)
        return variant.text("machine") == name or begins
    if axis == "date":
        return in_period(value, name)
    return natural(value.casefold()) == natural(name.casefold())


def of_sides(variants: Sequence[Variant], axis: str, names: Sequence[str]) -> list[Variant]:
    """Keep the named sides. Raises UnknownName for a name that no side has."""
    values = sorted({_shown(v) for v in variants}, key=natural)
    labels = {v.text("machine") or "" for v in variants} if axis == "machine" else set[str]()
    for name in names:
        if axis == "date":
            check_period(name)
        if any(is_called(v, axis, name) for v in variants):
            continue
        if axis == "date":
            raise _no_such_day(name, values)
        shown = sorted(labels, key=natural) if axis == "machine" else values
        known(name, shown, axis.replace("_", " "), "fleet results")
    return [v for v in variants if not names or any(is_called(v, axis, n) for n in names)]


def check_apart(axis: str, names: Sequence[str], variants: Sequence[Variant]) -> None:
    """Raise UserError for two periods that share a day, which would be on both sides."""
    for variant in variants if axis == "date" else ():
        both = [name for name in dict.fromkeys(names) if is_called(variant, axis, name)]
        if len(both) > 1:
            raise UserError(
                f"{both[0]} and {both[1]} both hold {_shown(variant)}",
                "name periods that have no day in common",
            )


def _no_such_day(name: str, days: Sequence[str]) -> UnknownName:
    near = min(days, key=lambda day: _distance(day, name), default=None)
    hint = f" (the nearest day is {near})" if near else ""
    return UnknownName(f"{name}: nothing was measured then{hint}", "fleet results")


def _distance(day: str, name: str) -> int:
    """Return roughly how far a day is from the beginning of a period."""
    digits = [int(f"{''.join(filter(str.isdigit, text)):0<8.8}") for text in (day, name)]
    return abs(digits[0] - digits[1])


def _shown(variant: Variant) -> str:
    return variant.text("axis_value") or NOT_KNOWN


def _machine_name(variant: Variant, ambiguous: bool) -> str:
    name, machine_id = variant.text("machine") or "", variant.text("machine_id") or ""
    return f"{name} ({machine_id[:16]})" if ambiguous else name or machine_id[:16]


def _hardware_class(variant: Variant, axis: str) -> str:
    """Return `(Apple M3 Ultra, 60 GPU cores)`, without what the axis says already."""
    cores = variant.text("gpu_cores")
    gpu = variant.text("gpu") if variant.text("gpu") != variant.text("chip") else None
    parts = [variant.text("chip") if axis != "chip" else None, gpu if axis != "gpu" else None]
    parts += [f"{cores} GPU cores" if cores and axis != "gpu_cores" else None]
    words = ", ".join(part for part in parts if part)
    return f"({words})" if words else ""
