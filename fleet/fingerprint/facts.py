"""Facts that one command or file gave."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.model.machine import Fact, FactValue


def facts(source: str, values: Mapping[str, FactValue]) -> list[Fact]:
    """One fact per value, all with the same source; None stays: looked for, not to be had."""
    return [Fact(name=name, value=value, source=source) for name, value in values.items()]
