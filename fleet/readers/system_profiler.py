"""`system_profiler -json`: slow (3 to 24 s), so only where `ioreg` says nothing.

Serial number, platform UUID and provisioning id stand in the same text and are never read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from fleet.readers.text import one_space, rounded, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    chip: str | None = None
    model: str | None = None
    memory_gb: int | None = None
    gpu: str | None = None
    gpu_cores: int | None = None


def parse_system_profiler(text: str) -> Profile:
    """Hardware and displays parts, whichever are there; values may be localised or numbers."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return Profile()
    hardware = _first(document, "SPHardwareDataType", "chip_type")
    display = _first(document, "SPDisplaysDataType", "sppci_cores")
    return Profile(
        chip=_text(hardware, "chip_type"),
        model=_text(hardware, "machine_model"),
        memory_gb=rounded(_text(hardware, "physical_memory")),
        gpu=_text(display, "sppci_model"),
        gpu_cores=whole(display.get("sppci_cores")),
    )


def _first(document: object, part: str, key: str) -> dict[str, object]:
    """The first item of one part that has the key."""
    items = document.get(part) if isinstance(document, dict) else None
    if not isinstance(items, list):
        return {}
    return next((item for item in items if isinstance(item, dict) and key in item), {})


def _text(item: dict[str, object], key: str) -> str | None:
    value = item.get(key)
    return one_space(value) if isinstance(value, str) else None
