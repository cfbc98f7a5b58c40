"""Files of Linux: /proc/cpuinfo, /proc/meminfo and their neighbours, os-release, cgroup limits."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, pairs, real, whole

MOST_CPUS = 2**16
UNLIMITED = 2**60
"""cgroup version 1 prints a number near 2**63 where there is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuInfo(Record):
    """`model_name` is absent on aarch64; `hypervisor` None where the flags cannot tell."""

    model_name: str | None
    threads: int | None
    cores: int | None
    hypervisor: bool | None
    part: str | None
    """Implementer and part numbers where there is no name: `0x41 0xd4f`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemInfo(Record):
    """KiB, as the kernel's `kB` means."""

    total_kib: int | None
    available_kib: int | None
    swap_total_kib: int | None
    swap_free_kib: int | None


def parse_cpuinfo(text: str) -> CpuInfo:
    blocks = [dict(pairs(block, ":")) for block in text.replace("\r", "").split("\n\n")]
    cpus = [block for block in blocks if "processor" in block]
    first = cpus[0] if cpus else {}
    cores = {(cpu.get("physical id"), cpu["core id"]) for cpu in cpus if "core id" in cpu}
    numbers = (first.get("CPU implementer"), first.get("CPU part"))
    cpu = CpuInfo(
        model_name=one_space(first.get("model name")),
        threads=len(cpus) or None,
        cores=len(cores) or None,
        hypervisor="hypervisor" in first["flags"].split() if "flags" in first else None,
        part=" ".join(filter(None, numbers)) or None,
    )
    return bounded(cpu)


def parse_meminfo(text: str) -> MemInfo:
    values = {key: whole(value.removesuffix("kB").strip()) for key, value in pairs(text, ":")}
    memory = MemInfo(
        total_kib=values.get("MemTotal"),
        available_kib=values.get("MemAvailable"),
        swap_total_kib=values.get("SwapTotal"),
        swap_free_kib=values.get("SwapFree"),
    )
    return bounded(memory)


def parse_full_pressure_percent(text: str) -> float | None:
    """Share of the last 10 s in which every task waited for memory; of /proc/pressure/memory."""
    line = next((line for line in text.splitlines() if line.startswith("full ")), "")
    return real(dict(pairs(line.replace(" ", "\n"), "=")).get("avg10"))


def parse_cpu_list(text: str) -> frozenset[int]:
    """`0-3,8` is 0, 1, 2, 3 and 8."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        low, high = whole(first), whole(last or first)
        if low is not None and high is not None and 0 <= low <= high < MOST_CPUS:
            numbers |= set(range(low, high + 1))
    return frozenset(numbers)


def parse_cores(text: str) -> dict[int, tuple[str | None, str]]:
    """By number of the processor of /proc/cpuinfo: (socket, core)."""
    blocks = (dict(pairs(block, ":")) for block in text.replace("\r", "").split("\n\n"))
    numbered = ((whole(block.get("processor")), block) for block in blocks if "core id" in block)
    return {cpu: (b.get("physical id"), b["core id"]) for cpu, b in numbered if cpu is not None}


def parse_os_release(text: str) -> dict[str, str]:
    """`ID`, `VERSION_ID` and so on, without their quotes."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {key: value.strip("\"'") for key, value in pairs("\n".join(lines), "=")}


def parse_load_1m(text: str) -> float | None:
    """Parse `/proc/loadavg`: the first number of `0.20 0.18 0.12 1/80 11206`."""
    return real(text)


def parse_uptime_s(text: str) -> float | None:
    """Parse `/proc/uptime`: the first number of `350735.47 234388.90`, in seconds."""
    return real(text)


def parse_boot_unix_s(text: str) -> int | None:
    """`btime` of /proc/stat."""
    return next((whole(value) for key, value in pairs(text, " ") if key == "btime"), None)


def parse_memory_limit_bytes(text: str) -> int | None:
    """`memory.max` or `memory.limit_in_bytes`; None for no limit."""
    limit = whole(text.strip())
    return limit if limit is not None and 0 < limit < UNLIMITED else None


def parse_cpu_limit(text: str) -> float | None:
    """CPUs of `cpu.max`: `150000 100000` is 1.5; None for `max 100000`."""
    numbers = [whole(word) for word in text.split()]
    match numbers:
        case [int(quota), int(period)] if 0 < quota < UNLIMITED and period > 0:
            return quota / period
    return None


def is_no_limit(text: str) -> bool:
    """Whether a limit's file says so: `max`, `max 100000`, -1 or a number near 2**63."""
    word = text.split()[0] if text.split() else ""
    number = whole(word)
    return word == "max" or (number is not None and (number == -1 or number >= UNLIMITED))


def parse_cgroups(text: str) -> dict[str, str]:
    """Path by controller of /proc/PID/cgroup; that of cgroup version 2 under the empty name."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        number, first, rest = line.partition(":")
        controllers, second, path = rest.partition(":")
        if first and second and number.isdecimal() and path.startswith("/"):
            paths |= dict.fromkeys(controllers.split(","), path)
    return paths
