"""Parse the kernel's list of power supplies: lines `NAME/FILE:VALUE` of type, scope, online."""

from __future__ import annotations

from collections.abc import Mapping

EXTERNAL = frozenset({"Mains", "USB", "UPS", "Wireless"})
"""Types of what feeds a machine; of a UPS too, which is mains to it until that ends."""


def parse_has_battery(text: str) -> bool:
    """Whether one of them is a battery of the machine itself, not of its mouse."""
    return any(_is_own_battery(supply) for supply in _supplies(text).values())


def parse_power_source(text: str) -> str | None:
    """`mains` or `battery`, where what feeds this machine or its batteries say so.

    A battery that is neither charging nor discharging says nothing: a full one rests on mains.
    """
    supplies = _supplies(text).values()
    external = [each.get("online") for each in supplies if each.get("type") in EXTERNAL]
    if "1" in external:
        return "mains"
    states = [each.get("status") for each in supplies if _is_own_battery(each)]
    if "Discharging" in states:
        return "battery"
    return "mains" if "Charging" in states else None


def _is_own_battery(supply: Mapping[str, str]) -> bool:
    return supply.get("type") == "Battery" and supply.get("scope") != "Device"


def _supplies(text: str) -> dict[str, dict[str, str]]:
    supplies: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        # A name may hold a colon, a value does not.
        path, _, value = line.rpartition(":")
        name, _, file = path.rpartition("/")
        supplies.setdefault(name, {})[file] = value.strip()
    return supplies
