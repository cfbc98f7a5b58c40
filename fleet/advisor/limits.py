"""How much of a machine's memory its GPU may use."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.advisor.amounts import Amount, Certainty, modelled
from fleet.model.mac_gpu_limit import MACOS_26_MIB, TO_MACOS_15_MIB
from fleet.units import MIB

KEEP_FREE_MIB = 8192
"""Of every Mac's memory so much stays with the system: with less, Macs have panicked."""

CARD_RESERVE_MIB = 0
MACOS_GENERATIONS = (15, 26)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a GPU may use, and what stands behind it."""

    bytes: Amount
    label: str
    """`default of macOS 15 and earlier`."""


def mac_default(ram_gb: int, macos: int) -> Limit:
    """Return the limit of a Mac on which nobody set one; modelled for sizes that were not seen."""
    old = macos <= 15
    label = "macOS 15 and earlier" if old else f"macOS {macos}"
    seen = (TO_MACOS_15_MIB if old else MACOS_26_MIB).get(ram_gb) if macos <= 26 else None
    if seen is not None:
        size = float(seen * MIB)
        return Limit(bytes=Amount(size, size, size, Certainty.REPORTED), label=label)
    low, high = _shares(ram_gb, old=old)
    whole = ram_gb * 1024 * MIB
    return Limit(bytes=modelled((low + high) / 2 * whole, low * whole, high * whole), label=label)


def _shares(ram_gb: int, *, old: bool) -> tuple[float, float]:
    """Lowest and highest share of the memory that Macs of about this size were seen to have."""
    if old:
        if ram_gb <= 32:
            return 2 / 3, 2 / 3
        return (2 / 3, 0.75) if ram_gb < 64 else (0.75, 0.9)
    if ram_gb < 16:
        return 0.66, 0.74
    if ram_gb < 32:
        return 0.74, 0.78
    if ram_gb < 64:
        return 0.78, 0.81
    return (0.81, 0.84) if ram_gb < 128 else (0.84, 0.91)


def highest_wired_mib(ram_gb: float) -> int:
    """Return the highest limit that leaves the system its 8 GiB."""
    return int(ram_gb * 1024) - KEEP_FREE_MIB


def of_card(memory_mib: float, devices: int = 1) -> Limit:
    """All the memory of one or several graphics cards."""
    size = memory_mib * MIB * devices
    label = "memory of the card" if devices == 1 else f"memory of {devices} cards"
    return Limit(bytes=Amount(size, size, size, Certainty.REPORTED), label=label)


def as_set(limit_mib: float) -> Limit:
    """Return a limit that somebody set or read."""
    size = limit_mib * MIB
    return Limit(bytes=Amount(size, size, size, Certainty.EXACT), label="as given")
