"""`pmset -g batt`, `-g custom` and `-g therm` of macOS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.readers.text import pairs, whole

FULL_SPEED_PERCENT = 100
POWER_MODES = {"0": "auto", "1": "low", "2": "high"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermal:
    """The coarse view of heat; percent of full speed, None where the Mac prints no limits."""

    warning_recorded: bool | None
    cpu_speed_limit_percent: int | None


def parse_power_source(text: str) -> str | None:
    """`AC Power`, `Battery Power` or `UPS Power`, of `Now drawing from 'AC Power'`."""
    match = re.search(r"Now drawing from '([^'\n]+)'", text)
    return match[1] if match else None


def parse_custom(text: str) -> dict[str, dict[str, str]]:
    """Settings per power source: `{"AC Power": {"powermode": "0", ...}, ...}`."""
    sources: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\S.*):\s*", line):
            current = sources.setdefault(heading[1], {})
        elif current is not None and (words := line.split()) and len(words) > 1:
            current[" ".join(words[:-1])] = words[-1]
    return sources


def power_mode(sources: Mapping[str, Mapping[str, str]], source: str | None) -> str | None:
    """`auto`, `low` or `high` in force; None where this Mac has no modes or no known source."""
    if source is None and len(sources) == 1:
        source = next(iter(sources))
    settings = sources.get(source or "", {})
    if "powermode" in settings:
        return POWER_MODES.get(settings["powermode"])
    # Older systems know only on and off.
    return {"0": "auto", "1": "low"}.get(settings.get("lowpowermode", ""))


def coarse_class(told: Thermal) -> str | None:
    """As the finer levels are called; above nominal it does not say how far."""
    if told.warning_recorded is None and told.cpu_speed_limit_percent is None:
        return None
    limit = told.cpu_speed_limit_percent
    slowed = limit is not None and limit < FULL_SPEED_PERCENT
    return "moderate" if told.warning_recorded or slowed else "nominal"


def parse_therm(text: str) -> Thermal:
    limits = dict(pairs(text, "="))
    warning = False if "No thermal warning level has been recorded" in text else None
    return Thermal(
        warning_recorded=True if "Thermal Warning Level" in text else warning,
        cpu_speed_limit_percent=whole(limits.get("CPU_Speed_Limit")),
    )
