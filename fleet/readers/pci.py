"""Graphics devices on the PCI bus: the kernel lists them, whether or not a driver answers."""

from __future__ import annotations

import re

NVIDIA = "10de"
FOLDER = "/sys/bus/pci/devices"
PCI = ("sh", "-c", f"cd {FOLDER} || exit 1; grep -sH '' */class */vendor; exit 0")
_LINE = re.compile(r"([0-9a-f:.]{1,32})/(class|vendor):0x([0-9a-f]{4,6})", re.ASCII)
GRAPHICS = "03"
"""The class of displays, and of accelerators that could drive one."""


def parse_graphics(text: str) -> frozenset[str]:
    """Makers of the graphics devices, by their numbers."""
    devices: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            devices.setdefault(match[1], {})[match[2]] = match[3]
    return frozenset(
        device.get("vendor", "")
        for device in devices.values()
        if device.get("class", "").startswith(GRAPHICS)
    )
