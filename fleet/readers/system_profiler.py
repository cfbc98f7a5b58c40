"""`system_profiler -json`: slow (3 to 24 s), so only where `ioreg` says nothing.

Serial number, platform UUID and provisioning id stand in the same text and are never read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, real, whole
from fleet.readers.tree import parse_json

_GB_PER = {"M": 2**-10, "T": 2**10}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile(Record):
    chip: str | None = None
    model: str | None = None
    memory_gb: int | None = None
    gpu: str | None = None
    gpu_cores: int | None = None
    cpu_cores: int | None = None
    """All of them: the fields after the first mean another kind on each chip."""
    metal_version: int | None = None
    displays: int | None = None
    """None also where no display is awake."""


def parse_system_profiler(text: str) -> Profile:
    """Hardware and displays parts, whichever are there; values may be localised or numbers."""
    document = parse_json(text)
    hardware = _first(document, "SPHardwareDataType", "chip_type")
    display = _first(document, "SPDisplaysDataType", "sppci_cores")
    profile = Profile(
        chip=_text(hardware, "chip_type"),
        model=_text(hardware, "machine_model"),
        memory_gb=_gigabytes(_text(hardware, "physical_memory")),
        gpu=_text(display, "sppci_model"),
        gpu_cores=whole(display.get("sppci_cores")),
        cpu_cores=_cores(hardware.get("number_processors")),
        metal_version=_metal(display),
        displays=_displays(display.get("spdisplays_ndrvs")),
    )
    return bounded(profile)


def _gigabytes(text: str | None) -> int | None:
    """Memory as `64 GB`, `64 Go` or `1 TB`: the unit is localised, but for its first letter."""
    number = real(text)
    unit = (text or "").lstrip("0123456789.+- ")[:1].upper()
    return None if number is None else round(number * _GB_PER.get(unit, 1))


def _cores(value: object) -> int | None:
    """Parse the number of cores from `proc 16:12:4`; a guest prints the number alone."""
    match = re.match(r"proc (\d{1,6})\b", value, re.ASCII) if isinstance(value, str) else None
    return int(match[1]) if match else whole(value)


def _metal(display: dict[str, object]) -> int | None:
    """Of `spdisplays_metal4`; a family of chips (`apple7`) is no version of Metal."""
    family = _text(display, "spdisplays_mtlgpufamilysupport") or _text(display, "spdisplays_metal")
    match = re.fullmatch(r"spdisplays_metal(\d{1,3})", family or "", re.ASCII)
    return int(match[1]) if match else None


def _displays(value: object) -> int | None:
    return len(value) if isinstance(value, list) else None


def _first(document: object, part: str, key: str) -> dict[str, object]:
    """Return the first item of one part that has the key."""
    items = document.get(part) if isinstance(document, dict) else None
    if not isinstance(items, list):
        return {}
    return next((item for item in items if isinstance(item, dict) and key in item), {})


def _text(item: dict[str, object], key: str) -> str | None:
    value = item.get(key)
    return one_space(value) if isinstance(value, str) else None
