"""Memory devices: `dmidecode` (root), and what udev kept of it (anybody)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, pairs, real, whole

_HANDLE = re.compile(r"^Handle .*DMI type (\d{1,3}),", re.ASCII | re.MULTILINE)
_UDEV = re.compile(r"E:MEMORY_DEVICE_(\d{1,4})_(\w+)=(.*)", re.ASCII)
_GIB_PER = {"KB": 2**-20, "MB": 2**-10, "GB": 1.0, "TB": 1024.0}
EMPTY = frozenset({"No Module Installed", "Not Installed", "Not Present", "0", "None", ""})
"""Sizes of a slot without memory; of one with another size that is not understood, it is None."""
_NO_VALUE = frozenset({"Unknown", "None", "Not Specified", "Other", "<OUT OF SPEC>", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDevice(Record):
    """One module, or one soldered package; empty slots are left out."""

    size_gib: float | None
    kind: str | None
    """`DDR5`, `LPDDR5`."""
    width_bits: int | None
    speed_mt_s: int | None
    """As configured, else as rated."""
    locator: str | None


def parse_memory_devices(text: str) -> list[MemoryDevice]:
    """Every DMI record of type 17 that holds memory."""
    slots = (block for kind, block in _blocks(text) if kind == "17")
    return [_device(slot) for slot in slots if slot.get("Size", "") not in EMPTY]


def parse_udev_memory(text: str) -> list[MemoryDevice]:
    """Parse the memory devices of `/run/udev/data/+dmi:id`, where udev keeps sizes in bytes."""
    devices: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if match := _UDEV.fullmatch(line.strip()):
            devices.setdefault(int(match[1]), {})[match[2]] = match[3]
    slots = (slot for _, slot in sorted(devices.items()))
    return [_udev_device(slot) for slot in slots if slot.get("SIZE") and slot.get("PRESENT") != "0"]


def peak_gb_s(devices: Sequence[MemoryDevice]) -> float | None:
    """Sum of width times transfers; None as soon as one device does not say."""
    rates = [
        device.width_bits / 8 * device.speed_mt_s / 1000
        for device in devices
        if device.width_bits and device.speed_mt_s
    ]
    return sum(rates) if rates and len(rates) == len(devices) else None


def _blocks(text: str) -> Iterable[tuple[str, Mapping[str, str]]]:
    kinds = [match[1] for match in _HANDLE.finditer(text)]
    bodies = _HANDLE.split(text)[2::2]
    for kind, body in zip(kinds, bodies, strict=False):
        yield kind, dict(pairs(body, ":"))


def _device(fields: Mapping[str, str]) -> MemoryDevice:
    speed = _value(fields, "Configured Memory Speed") or _value(fields, "Configured Clock Speed")
    device = MemoryDevice(
        size_gib=_gib(_value(fields, "Size")),
        kind=_value(fields, "Type"),
        width_bits=_number(_value(fields, "Data Width")),
        speed_mt_s=_number(speed or _value(fields, "Speed")),
        locator=_value(fields, "Bank Locator") or _value(fields, "Locator"),
    )
    return bounded(device)


def _udev_device(fields: Mapping[str, str]) -> MemoryDevice:
    size_bytes = whole(fields.get("SIZE"))
    device = MemoryDevice(
        size_gib=size_bytes / 2**30 if size_bytes else None,
        kind=_value(fields, "TYPE"),
        width_bits=whole(fields.get("DATA_WIDTH")),
        speed_mt_s=whole(fields.get("CONFIGURED_SPEED_MTS")) or whole(fields.get("SPEED_MTS")),
        locator=_value(fields, "BANK_LOCATOR") or _value(fields, "LOCATOR"),
    )
    return bounded(device)


def _value(fields: Mapping[str, str], key: str) -> str | None:
    value = one_space(fields.get(key))
    return None if value is None or value in _NO_VALUE else value


def _number(text: str | None) -> int | None:
    value = real(text)
    return round(value) if value and value < 1e9 else None


def _gib(text: str | None) -> float | None:
    """`32 GB`, `8192 MB`; None for `No Module Installed`."""
    words = (text or "").split()
    size = real(words[0]) if len(words) == 2 and words[1] in _GIB_PER else None
    return size * _GIB_PER[words[1]] if size else None
