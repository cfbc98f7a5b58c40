"""`powermetrics -f plist` of macOS, as root: one property list per sample, NUL bytes between.

Energies are those of the counters' own interval, not of `elapsed_ns`: sum energies, never power
times elapsed time. They are the system's estimates, for one chip only.
"""

from __future__ import annotations

import plistlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.parsers.expat import ExpatError

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space
from fleet.readers.tree import items, mapping, number, text_of

BEGINNING, END = "<?xml", "</plist>"
HAIR = 0.01
"""Shares are rounded each for itself."""
HZ_FROM = 1e6
"""The GPU's `freq_hz` is in MHz, a cluster's in Hz; no clock of 1e6 MHz or below 1 MHz exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster(Record):
    """Cores of one kind that share a clock; level and name as printed (`E-Cluster`)."""

    name: str | None
    mhz: float | None
    cores: int | None
    busy_percent: float | None
    """Mean over its cores, 100 is all of them busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSample(Record):
    """One sample; watts and millijoules as reported, None for what it does not hold.

    A 0 is what the tool printed: whether it means nothing used or no counter, only many samples
    can tell.
    """

    model: str | None = None
    os_build: str | None = None
    unix_s: float | None = None
    elapsed_ns: int | None = None
    thermal_class: str | None = None
    """`nominal`, `moderate`, `heavy`, `trapping`, `sleeping`."""
    cpu_watts: float | None = None
    gpu_watts: float | None = None
    ane_watts: float | None = None
    combined_watts: float | None = None
    cpu_millijoules: float | None = None
    gpu_millijoules: float | None = None
    ane_millijoules: float | None = None
    gpu_mhz: float | None = None
    gpu_busy_percent: float | None = None
    clusters: tuple[Cluster, ...] = ()


def split_samples(text: str) -> tuple[list[str], str]:
    """(whole samples, what has arrived of the next) of a stream read so far."""
    *whole, rest = text.split(END)
    return [part + END for part in whole], rest


def parse_sample(text: str) -> PowerSample | None:
    """One property list; None where it is none."""
    try:
        whole = mapping(plistlib.loads(_document(text).encode(), fmt=plistlib.FMT_XML))
    except (ExpatError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return None
    return _sample(whole) if whole else None


def _document(text: str) -> str:
    """Without the NUL between samples, and without a line that a tool prints before the list."""
    start = max(text.find(BEGINNING), 0)
    return text[start:].strip("\0 \r\n\t")


def _sample(whole: Mapping[str, object]) -> PowerSample:
    processor, gpu = mapping(whole.get("processor")), mapping(whole.get("gpu"))
    elapsed_ns = number(whole.get("elapsed_ns"))
    sample = PowerSample(
        model=text_of(whole.get("hw_model")),
        os_build=text_of(whole.get("kern_osversion")),
        unix_s=_unix_s(whole.get("timestamp")),
        elapsed_ns=None if elapsed_ns is None else round(elapsed_ns),
        thermal_class=_lower(whole.get("thermal_pressure")),
        cpu_watts=_thousandth(processor.get("cpu_power")),
        gpu_watts=_thousandth(processor.get("gpu_power")),
        ane_watts=_thousandth(processor.get("ane_power")),
        combined_watts=_thousandth(processor.get("combined_power")),
        cpu_millijoules=number(processor.get("cpu_energy")),
        gpu_millijoules=number(processor.get("gpu_energy", gpu.get("gpu_energy"))),
        ane_millijoules=number(processor.get("ane_energy")),
        gpu_mhz=_mhz(gpu.get("freq_hz")),
        gpu_busy_percent=_busy_percent(gpu),
        clusters=tuple(_cluster(mapping(cluster)) for cluster in items(processor.get("clusters"))),
    )
    return bounded(sample)


def _cluster(cluster: Mapping[str, object]) -> Cluster:
    cores = [mapping(core) for core in items(cluster.get("cpus"))]
    busy = [percent for percent in map(_busy_percent, cores) if percent is not None]
    record = Cluster(
        name=text_of(cluster.get("name")),
        mhz=_mhz(cluster.get("freq_hz")),
        cores=len(cores) or None,
        busy_percent=sum(busy) / len(busy) if busy else None,
    )
    return bounded(record)


def _busy_percent(part: Mapping[str, object]) -> float | None:
    """Neither idle nor powered down; None where the two make no share of a whole."""
    idle, down = number(part.get("idle_ratio")), number(part.get("down_ratio", 0.0))
    share = None if idle is None or down is None else 1 - idle - down
    if share is None or not -HAIR <= share <= 1 + HAIR:
        return None
    return min(max(0.0, share), 1.0) * 100


def _mhz(value: object) -> float | None:
    frequency = number(value)
    return frequency / 1e6 if frequency is not None and frequency >= HZ_FROM else frequency


def _thousandth(value: object) -> float | None:
    milli = number(value)
    return None if milli is None else milli / 1000


def _lower(value: object) -> str | None:
    text = one_space(text_of(value))
    return text.lower() if text else None


def _unix_s(value: object) -> float | None:
    """Property lists keep times in UTC, to the second."""
    return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else None
