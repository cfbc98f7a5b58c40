"""The names of the axes, and of the facts that may be allowed to differ."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.comparability import AXES, FACTS
from fleet.names import known


def check_axis(name: str, columns: Iterable[str] = ()) -> str:
    """`columns`: what else can be compared by, beside the axes that the table knows."""
    axes = AXES.union(columns)
    return known(name, axes, "axis to compare by", "fleet compare --by machine --classes")


def check_fact(name: str) -> str:
    return known(name, FACTS, "fact to allow a difference of", "fleet compare --classes")
