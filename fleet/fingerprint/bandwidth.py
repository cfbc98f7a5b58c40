"""Memory bandwidth by chip and GPU cores, from the table beside this file.

`bandwidth.csv`: one row per variant of a chip or card. `chip` is the name as the system tells it,
without the word NVIDIA, or between slashes a pattern that occurs in it; `gpu_cores` and `memory_gb`
where one name stands for several variants, several numbers apart by spaces. Each row names where
its figure comes from; they are peaks as published, never measurements.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("bandwidth.csv")
_BETWEEN = re.compile(r"\((?:R|TM|C)\)|\bNVIDIA\b|\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    chip: str
    gpu_cores: frozenset[int]
    memory_gb: frozenset[int]
    """Of the card; empty where it does not matter."""
    gb_s: float
    memory_type: str | None
    source: str


@cache
def variants() -> tuple[Variant, ...]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(_variant(row) for row in csv.DictReader(file))


def look_up(
    name: str, gpu_cores: int | None = None, memory_gb: int | None = None
) -> tuple[Variant | None, str]:
    """Return the one variant that this is, or None with the reason."""
    named = [variant for variant in variants() if _matches(variant.chip, _plain(name))]
    if not named:
        return None, f"{name} is not in the table"
    fits = [variant for variant in named if not variant.memory_gb or memory_gb in variant.memory_gb]
    # Where the number of cores is unknown, a chip whose variants are all alike is known still.
    alike = [
        variant
        for variant in fits
        if not variant.gpu_cores or gpu_cores is None or gpu_cores in variant.gpu_cores
    ]
    if len({variant.gb_s for variant in alike}) == 1:
        return alike[0], ""
    what = f"with {gpu_cores} GPU cores" if gpu_cores else "without its number of GPU cores"
    return None, f"{name} {what} is not in the table"


def _variant(row: dict[str, str]) -> Variant:
    return Variant(
        chip=row["chip"],
        gpu_cores=frozenset(map(int, row["gpu_cores"].split())),
        memory_gb=frozenset(map(int, row["memory_gb"].split())),
        gb_s=float(row["gb_s"]),
        memory_type=row["memory_type"] or None,
        source=row["source"],
    )


def _matches(chip: str, name: str) -> bool:
    """`Apple M3` is no `Apple M3 Max`: a plain name is the whole name."""
    if chip.startswith("/"):
        return re.search(chip.strip("/"), name, re.IGNORECASE) is not None
    return name.lower() == chip.lower()


def _plain(name: str) -> str:
    return " ".join(_BETWEEN.sub(" ", name).split())
