"""`notifyutil -g com.apple.system.thermalpressurelevel` of macOS."""

from __future__ import annotations

import re

THERMAL_CLASSES = ("nominal", "moderate", "heavy", "trapping", "sleeping")


def parse_thermal_class(text: str) -> str | None:
    """Name of the level 0 to 4; None for a level without a name, or none printed."""
    match = re.search(r"thermalpressurelevel\s+(\d{1,9})\s*$", text, re.ASCII | re.MULTILINE)
    if match is None or int(match[1]) >= len(THERMAL_CLASSES):
        return None
    return THERMAL_CLASSES[int(match[1])]
