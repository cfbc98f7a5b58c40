"""`sysctl NAME ...` of macOS, as `key: value` lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import pairs, real, whole

_LEVEL = re.compile(r"hw\.perflevel(\d{1,3})\.(\w+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfLevel(Record):
    """Cores of one kind; level 0 is the fastest. The name says the kind, the number does not."""

    name: str | None
    physical_cores: int | None
    logical_cores: int | None


def parse_sysctl(text: str) -> dict[str, str]:
    """Every `key: value` line; error lines (`sysctl: unknown oid ...`) are left out."""
    return {key: value for key, value in pairs(text, ":") if "." in key and " " not in key}


def perf_levels(values: Mapping[str, str]) -> tuple[PerfLevel, ...]:
    """`hw.perflevelN.*`, fastest first; empty on Intel."""
    levels: dict[int, dict[str, str]] = {}
    for key, value in values.items():
        if match := _LEVEL.fullmatch(key):
            levels.setdefault(int(match[1]), {})[match[2]] = value
    return tuple(bounded(_perf_level(level)) for _, level in sorted(levels.items()))


def _perf_level(level: Mapping[str, str]) -> PerfLevel:
    return PerfLevel(
        name=level.get("name") or None,
        physical_cores=whole(level.get("physicalcpu")),
        logical_cores=whole(level.get("logicalcpu")),
    )


def parse_swap_used_mb(text: str) -> float | None:
    """MiB used, of `total = 1024.00M  used = 128.00M  free = 896.00M  (encrypted)`."""
    match = re.search(r"used = ([\d.]+)M", text, re.ASCII)
    return real(match[1]) if match else None


def parse_boot_unix_s(text: str) -> int | None:
    """Seconds, of `{ sec = 1700000000, usec = 0 } Tue Nov 14 00:00:00 2023`."""
    match = re.search(r"\bsec = (\d{1,18})", text, re.ASCII)
    return int(match[1]) if match else None


def parse_load_1m(text: str) -> float | None:
    """Parse `vm.loadavg`: the first number of `{ 1.25 2.50 3.75 }`."""
    return real(text.strip().lstrip("{"))
