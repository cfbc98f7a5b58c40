"""Sizes as machines and cards are sold: what a system reports lies a little below.

Systems keep some memory for firmware, drivers and error correction, and how much changes with
their updates; the size sold does not.
"""

from __future__ import annotations

import math
from bisect import bisect_left

KIB_PER_GIB = 2**20
KIB_PER_MIB = 2**10
MIB_PER_GIB = 2**10

MACHINE_GB: tuple[int, ...] = (
    *(1, 2, 3, 4, 6, 8, 12, 16, 18, 20, 24, 32, 36, 40, 48, 64, 80, 96, 128, 160, 192, 256),
    *(320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048, 3072, 4096),
)
CARD_GB: tuple[int, ...] = (
    *(2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 180, 192, 288),
)
CARD_MISSING = 0.08
"""Most of a card's memory that error correction and driver keep: 7.8 % on a T4."""


def machine_gb(total_kib: int | None) -> int | None:
    """Return the next size that machines are sold with; Linux's `MemTotal` reads low."""
    if total_kib is None or total_kib <= 0:
        return None
    gib = total_kib / KIB_PER_GIB
    place = bisect_left(MACHINE_GB, gib)
    return MACHINE_GB[place] if place < len(MACHINE_GB) else math.ceil(gib)


def card_gb(memory_mb: float) -> int:
    """Return the size that a card with so many MiB is sold with.

    Whole GiB where no such card is known.
    """
    gib = memory_mb / MIB_PER_GIB
    place = bisect_left(CARD_GB, gib)
    if place < len(CARD_GB) and gib >= CARD_GB[place] * (1 - CARD_MISSING):
        return CARD_GB[place]
    return math.ceil(gib)
