"""Parse the kernel's list of power supplies: `NAME/type:VALUE` and `NAME/scope:VALUE` lines."""

from __future__ import annotations


def parse_has_battery(text: str) -> bool:
    """Whether one of them is a battery of the machine itself, not of its mouse."""
    told: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        path, _, value = line.partition(":")
        name, _, file = path.rpartition("/")
        told.setdefault(name, {})[file] = value.strip()
    return any(
        one.get("type") == "Battery" and one.get("scope") != "Device" for one in told.values()
    )
