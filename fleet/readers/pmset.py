"""`pmset -g batt`, `-g custom` and `-g therm` of macOS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import pairs, whole

FULL_SPEED_PERCENT = 100
SPEED_LIMIT = "CPU_Speed_Limit"
MODE_KEYS = ("powermode", "lowpowermode")
_REMARK = re.compile(r"\s*\(.*")
POWER_MODES = {"0": "auto", "1": "low", "2": "high"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermal(Record):
    """The coarse view of heat; percent of full speed, None where the Mac prints no limits."""

    warning_recorded: bool | None
    cpu_speed_limit_percent: int | None
    not_understood: str = ""
    """A limit that was printed and makes no sense."""


def parse_power_source(text: str) -> str | None:
    """`AC Power`, `Battery Power` or `UPS Power`, of `Now drawing from 'AC Power'`."""
    match = re.search(r"Now drawing from '([^'\n]+)'", text)
    return match[1] if match else None


def parse_custom(text: str) -> dict[str, dict[str, str]]:
    """Parse the settings of each power source: `{"AC Power": {"powermode": "0", ...}, ...}`.

    Each line that is not indented is a heading, so that no setting counts for the source before.
    """
    sources: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for line in text.splitlines():
        if line[:1].strip():
            current = sources.setdefault(line.strip().removesuffix(":"), {})
        elif current is not None:
            *names, value = _REMARK.sub("", line).split() or [""]
            current |= {" ".join(names): value} if names else {}
    return sources


def has_power_modes(sources: Mapping[str, Mapping[str, str]]) -> bool | None:
    """Tell whether there are power modes; False only where settings were read without any."""
    if any(key in settings for settings in sources.values() for key in MODE_KEYS):
        return True
    return False if any(sources.values()) else None


def mode_not_understood(sources: Mapping[str, Mapping[str, str]], source: str | None) -> str:
    """Why `power_mode` gives none although this Mac has modes."""
    settings = sources.get(source or "")
    if settings is None:
        headings = ", ".join(sources) or "none"
        return f'no settings for "{source}" (headings: {headings})' if source else "no power source"
    printed = [f"{key} {settings[key]}" for key in MODE_KEYS if key in settings]
    return f"not understood: {printed[0]}" if printed else f'no mode under "{source}"'


def power_mode(sources: Mapping[str, Mapping[str, str]], source: str | None) -> str | None:
    """`auto`, `low` or `high` in force; None where this Mac has no modes or no known source."""
    if source is None and len(sources) == 1:
        source = next(iter(sources))
    settings = sources.get(source or "", {})
    if "powermode" in settings:
        return POWER_MODES.get(settings["powermode"])
    # Older systems know only on and off.
    return {"0": "auto", "1": "low"}.get(settings.get("lowpowermode", ""))


def coarse_class(thermal: Thermal) -> str | None:
    """As the finer levels are called; above nominal it does not say how far."""
    if thermal.warning_recorded:
        return "moderate"
    nothing_told = thermal.warning_recorded is None and thermal.cpu_speed_limit_percent is None
    if nothing_told or thermal.not_understood:
        return None
    limit = thermal.cpu_speed_limit_percent
    slowed = limit is not None and limit < FULL_SPEED_PERCENT
    return "moderate" if slowed else "nominal"


def parse_therm(text: str) -> Thermal:
    printed = dict(pairs(text, "=")).get(SPEED_LIMIT)
    warning = False if "No thermal warning level has been recorded" in text else None
    thermal = bounded(
        Thermal(
            warning_recorded=True if "Thermal Warning Level" in text else warning,
            cpu_speed_limit_percent=whole(printed),
        )
    )
    lost = printed is not None and thermal.cpu_speed_limit_percent is None
    return replace(thermal, not_understood=f"{SPEED_LIMIT} {printed}") if lost else thermal
