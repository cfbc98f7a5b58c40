"""`sw_vers` of macOS."""

from __future__ import annotations

from fleet.readers.text import pairs


def parse_sw_vers(text: str) -> dict[str, str]:
    """`ProductVersion`, `BuildVersion` and what else is printed."""
    return {key: value for key, value in pairs(text, ":") if value and " " not in key}
