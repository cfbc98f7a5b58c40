"""`macmon pipe`: one JSON line per sample, without root. Fields were renamed in 0.8; both work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.readers.bounds import Record, bounded
from fleet.readers.tree import items, mapping, number, parse_json, text_of

HAIR = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class MacmonSample(Record):
    """Watts by part; `soc_watts` is their sum, `system_watts` the whole machine (SMC PSTR)."""

    unix_s: float | None = None
    cpu_watts: float | None = None
    gpu_watts: float | None = None
    ane_watts: float | None = None
    ram_watts: float | None = None
    gpu_ram_watts: float | None = None
    soc_watts: float | None = None
    system_watts: float | None = None
    cpu_celsius: float | None = None
    gpu_celsius: float | None = None
    cpu_busy_percent: float | None = None
    gpu_busy_percent: float | None = None
    """Share of time active; not printed before 0.8."""
    gpu_scaled_percent: float | None = None
    """Share of what the highest clock could do: a smaller number, and another quantity."""
    gpu_mhz: float | None = None
    ram_total_bytes: int | None = None
    ram_used_bytes: int | None = None
    swap_used_bytes: int | None = None
    fans_rpm: tuple[float, ...] = ()


def parse_line(line: str) -> MacmonSample | None:
    sample = mapping(parse_json(line))
    return _sample(sample) if sample else None


def _sample(sample: Mapping[str, object]) -> MacmonSample:
    heat, memory = mapping(sample.get("temp")), mapping(sample.get("memory"))
    record = MacmonSample(
        unix_s=_unix_s(text_of(sample.get("timestamp"))),
        cpu_watts=number(sample.get("cpu_power")),
        gpu_watts=number(sample.get("gpu_power")),
        ane_watts=number(sample.get("ane_power")),
        ram_watts=number(sample.get("ram_power")),
        gpu_ram_watts=number(sample.get("gpu_ram_power")),
        soc_watts=number(sample.get("all_power")),
        system_watts=number(sample.get("sys_power")),
        cpu_celsius=number(heat.get("cpu_temp_avg")),
        gpu_celsius=number(heat.get("gpu_temp_avg")),
        cpu_busy_percent=_percent(sample.get("cpu_active_ratio")),
        gpu_busy_percent=_percent(sample.get("gpu_active_ratio")),
        gpu_scaled_percent=_percent(sample.get("gpu_scaled_ratio", _old(sample, "gpu_usage", 1))),
        gpu_mhz=number(sample.get("gpu_freq_mhz", _old(sample, "gpu_usage", 0))),
        ram_total_bytes=_whole(memory.get("ram_total")),
        ram_used_bytes=_whole(memory.get("ram_usage")),
        swap_used_bytes=_whole(memory.get("swap_usage")),
        fans_rpm=_fans(sample),
    )
    return bounded(record)


def _old(sample: Mapping[str, object], name: str, place: int) -> object:
    """`[MHz, ratio]` of versions before 0.8."""
    pair = items(sample.get(name))
    return pair[place] if len(pair) > place else None


def _fans(sample: Mapping[str, object]) -> tuple[float, ...]:
    speeds = (number(mapping(fan).get("rpm")) for fan in items(sample.get("fans")))
    return tuple(speed for speed in speeds if speed is not None)


def _percent(value: object) -> float | None:
    """Return a share in percent; macmon counts in steps and may end a hair above the whole."""
    ratio = number(value)
    if ratio is None:
        return None
    return 100.0 if 1 < ratio < 1 + HAIR else ratio * 100


def _whole(value: object) -> int | None:
    count = number(value)
    return None if count is None else round(count)


def _unix_s(text: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
