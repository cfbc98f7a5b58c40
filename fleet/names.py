"""Names that people type: the nearest one that exists, and the order in which they are read."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fleet.errors import UnknownName, nearest


def known(name: str, names: Iterable[str], what: str, hint: str) -> str:
    """Return the name itself; UnknownName with the nearest one where nobody has it."""
    names = list(names)
    if name in names:
        return name
    near = nearest(name, names)
    suggestion = f" (did you mean {near}?)" if near else f": there is {', '.join(sorted(names))}"
    raise UnknownName(f"{name}: unknown {what}{suggestion}", hint)


def natural(text: object) -> list[tuple[int, float, str]]:
    """Sort key that puts 20b before 120b and 512 before 2048."""
    return [
        (0, float(part), "") if part.replace(".", "", 1).isdigit() else (1, 0.0, part)
        for part in re.split(r"(\d+(?:\.\d+)?)", str(text))
        if part
    ]
