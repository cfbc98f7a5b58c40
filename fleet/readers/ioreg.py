"""`ioreg -r -d 1 -w 0 -c CLASS` of macOS."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from fleet.model.quantities import FIELDS
from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, whole

_PROPERTY = re.compile(r'[\s|]*"(?P<key>[^"]+)" = (?P<value>.*)')
_STATISTIC = re.compile(r'[{,]"(?P<key>[^"]+)"=(?P<value>-?\d{1,19})(?=[,}])', re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator(Record):
    """One GPU; `statistics` are its whole-key `PerformanceStatistics`, bytes or percent."""

    model: str | None
    gpu_cores: int | None
    statistics: dict[str, int] = field(default_factory=dict)


def parse_properties(text: str) -> list[dict[str, str]]:
    """Properties of each object as printed, strings without their quotes."""
    objects: list[dict[str, str]] = []
    for line in text.splitlines():
        if "+-o " in line:
            objects.append({})
        elif match := _PROPERTY.fullmatch(line.rstrip()):
            if not objects:
                objects.append({})
            objects[-1][match["key"]] = _unquoted(match["value"])
    return objects


def parse_accelerators(text: str) -> list[Accelerator]:
    """Every GPU of `-c IOAccelerator`; a guest's has no core count."""
    return [_accelerator(properties) for properties in parse_properties(text)]


def parse_platform_uuid(text: str) -> str | None:
    """`IOPlatformUUID` of `-c IOPlatformExpertDevice`. To be hashed, never stored."""
    return next(
        (p["IOPlatformUUID"] for p in parse_properties(text) if "IOPlatformUUID" in p), None
    )


def _accelerator(properties: dict[str, str]) -> Accelerator:
    printed = _statistics(properties.get("PerformanceStatistics", ""))
    reasons = {key: why for key, value in printed.items() if (why := FIELDS[key].problem(value))}
    gpu = Accelerator(
        model=one_space(properties.get("model")),
        gpu_cores=whole(properties.get("gpu-core-count")),
        statistics={key: value for key, value in printed.items() if key not in reasons},
    )
    gpu = bounded(gpu)
    return replace(gpu, outside={**gpu.outside, **reasons})


def _statistics(text: str) -> dict[str, int]:
    """Those with a line in the table of quantities.

    Whole keys only: `In use system memory (driver)` is another than `In use system memory`.
    """
    printed = {match["key"]: int(match["value"]) for match in _STATISTIC.finditer(text)}
    return {key: value for key, value in printed.items() if key in FIELDS}


def _unquoted(value: str) -> str:
    """`"Apple M4"`, and `<"Apple M4">` as data properties are printed."""
    return value.removeprefix("<").removesuffix(">").strip('"') if '"' in value[:2] else value
