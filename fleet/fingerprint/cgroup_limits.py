"""What the kernel lets this process have of the machine: limits of its cgroup and those above it.

Of version 2 in `memory.max` and `cpu.max`, of version 1 in `memory.limit_in_bytes` and
`cpu.cfs_quota_us`. A limit holds for all below it, so the smallest on the way up counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fleet.fingerprint.facts import facts, not_understood
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.proc import (
    is_no_limit,
    parse_cgroups,
    parse_cpu_limit,
    parse_memory_limit_bytes,
)
from fleet.units import MIB

ROOT = "/sys/fs/cgroup"
OWN = "/proc/self/cgroup"
MEMORY_MOUNTS = (f"{ROOT}/memory",)
CPU_MOUNTS = (f"{ROOT}/cpu", f"{ROOT}/cpu,cpuacct", f"{ROOT}/cpuacct,cpu")
MOST_LEVELS = 32
Read = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Limit:
    """The smallest limit of all levels; `reads`: how many files could be read."""

    value: float | None
    reads: int
    strange: str = ""
    """What one of the files says that is no limit, and no word for none: then none is known."""


def limit_facts(commands: Commands) -> list[Fact]:
    places = parse_cgroups(commands.read(OWN) or "")
    memory = _smallest(_memory_texts(commands.read, places), parse_memory_limit_bytes)
    cpu = _smallest(_cpu_texts(commands.read, places), parse_cpu_limit)
    memory_mb = None if memory.value is None else int(memory.value) // MIB
    return [
        *_fact("container_memory_limit_mb", memory_mb, memory),
        *_fact("container_cpu_limit", cpu.value, cpu),
    ]


def _fact(name: str, value: float | None, limit: Limit) -> list[Fact]:
    unread = "" if limit.reads else "no file of it can be read"
    why = not_understood(limit.strange) or unread
    return facts("cgroup", {name: value}, why, absent="no limit set")


def _memory_texts(read: Read, places: Mapping[str, str]) -> Iterator[str | None]:
    yield from _unified_texts(read, places, "memory.max")
    for folder in _levels(MEMORY_MOUNTS, places.get("memory", "/")):
        yield read(f"{folder}/memory.limit_in_bytes")


def _cpu_texts(read: Read, places: Mapping[str, str]) -> Iterator[str | None]:
    """Version 1 keeps quota and period apart; side by side they read as version 2 writes them."""
    yield from _unified_texts(read, places, "cpu.max")
    for folder in _levels(CPU_MOUNTS, places.get("cpu", "/")):
        quota, period = read(f"{folder}/cpu.cfs_quota_us"), read(f"{folder}/cpu.cfs_period_us")
        yield None if quota is None or period is None else f"{quota.strip()} {period.strip()}"


def _unified_texts(read: Read, places: Mapping[str, str], name: str) -> Iterator[str | None]:
    """Of version 2, where a level without such a file has no such limit: the root never has one."""
    mounted = read(f"{ROOT}/cgroup.controllers") is not None
    for folder in _levels([ROOT], places.get("", "/")):
        text = read(f"{folder}/{name}")
        yield "max" if text is None and mounted else text


def _levels(mounts: Sequence[str], place: str) -> Iterator[str]:
    """Yield the folder of a cgroup and those above it, up to where the tree is mounted.

    In a container that path is the host's, and only the mount itself is there to be read.
    """
    parts = [part for part in place.split("/") if part and part != ".."][:MOST_LEVELS]
    for mount in mounts:
        for depth in range(len(parts), -1, -1):
            yield "/".join([mount, *parts[:depth]])


def _smallest(texts: Iterator[str | None], parse: Callable[[str], float | None]) -> Limit:
    printed = [text for text in texts if text is not None]
    strange = [text for text in printed if parse(text) is None and not is_no_limit(text)]
    if strange:
        return Limit(None, len(printed), strange[0].strip() or "an empty file")
    known = [value for value in map(parse, printed) if value is not None]
    return Limit(min(known, default=None), len(printed))
