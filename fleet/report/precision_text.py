"""Names what the stop rule wanted to know and does not yet. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fleet.compare.precision import Precision
from fleet.stats.verdict import show_percent

MOST_SHOWN = 8


def precision_lines(precisions: Sequence[Precision], target: float) -> list[str]:
    """Write one line for each ratio or median not known within `target`, the widest first."""
    wide = [each for each in precisions if not each.half_width <= target]
    if not wide:
        return []
    shared = set.intersection(*(set(each.settings.split()) for each in precisions))
    wide.sort(key=lambda each: (-each.half_width, each.job, each.settings, each.sides))
    lines = [f"not known within {100 * target:g} % as asked (half of the 95 % interval):"]
    lines += [f"  {_what(each, shared)}: {_how_closely(each)}" for each in wide[:MOST_SHOWN]]
    if len(wide) > MOST_SHOWN:
        lines.append(f"  and {len(wide) - MOST_SHOWN} more, known more closely than these")
    return lines


def _what(each: Precision, shared: set[str]) -> str:
    own = [part for part in each.settings.split() if part not in shared]
    place = [f"on {each.machine}"] if each.machine else []
    work = " ".join(part for part in (each.model, each.job, *own, *place) if part)
    return f"{work}, {each.sides[1]} against {each.sides[0]}" if each.sides else work


def _how_closely(each: Precision) -> str:
    if math.isinf(each.half_width):
        return "not known: it takes two valid trials" + (" a side" if each.sides else "")
    return f"known within {show_percent(each.half_width)} ({each.metric})"
