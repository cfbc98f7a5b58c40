"""Facts of NVIDIA GPUs, from nvidia-smi. Serial numbers and UUIDs are never read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from fleet.fingerprint.facts import ask, facts, outside_of, together
from fleet.fingerprint.gpu_holders import (
    Held,
    Holder,
    OwnProcesses,
    holder_facts,
    program_name,
)
from fleet.fingerprint.load import busiest
from fleet.fingerprint.sizes import KIB_PER_MIB, MIB_PER_GIB, machine_gb
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.nvidia_smi import (
    QUERY,
    Gpu,
    parse_fields,
    parse_query,
    parse_table,
    parse_xml,
)
from fleet.readers.pci import NVIDIA, PCI, parse_graphics
from fleet.readers.proc import parse_meminfo

PROGRAMS = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")
DEADLINE_S = 20.0
"""Without persistence mode the driver starts anew at each call: seconds."""
SHARES_MEMORY = re.compile(r"\b(?:GB10|N1X?|Thor|Orin|Xavier|Tegra|Jetson|nvgpu)\b", re.IGNORECASE)
"""GPUs on one chip with the processor, whose memory is the machine's, whatever size they report.
Newer ones are told by reporting none. (Those of Grace Hopper have memory of their own.)"""
FIELDS = {
    "gpu_power_limit_w": "power_limit_w",
    "gpu_temperature_c": "celsius",
    "foreign_gpu_percent": "busy_percent",
    "gpu_memory_mb": "memory_mb",
    "gpu_memory_in_use_mb": "used_mb",
    "gpu_mig_parts": "mig_parts_mb",
    "gpu_limit_mb": "mig_parts_mb",
}
"""Facts by the field of a GPU that they come from."""


class NvidiaProbe:
    name = "nvidia"
    tells = frozenset(
        {
            *("gpu", "gpu_count", "gpu_memory_mb", "gpu_pcie", "gpu_device", "gpu_driver"),
            *("cuda_version", "gpu_vbios", "gpu_ecc", "gpu_mig", "gpu_power_limit_w"),
            *("foreign_gpu_percent", "foreign_gpu_memory_mb"),
        }
    )

    def __init__(self, commands: Commands, processes: OwnProcesses | None = None) -> None:
        self._commands = commands
        self._processes = processes or OwnProcesses(commands)

    def available(self) -> bool:
        """Tell whether there is an NVIDIA GPU.

        Listing fails where a driver is installed but no GPU answers: then the kernel's list of
        devices decides.
        """
        return self._listed() or NVIDIA in parse_graphics(ask(self._commands, *PCI).text)

    def collect(self) -> Sequence[Fact]:
        gpus = next(filter(None, map(self._gpus, PROGRAMS)), [])
        if not gpus:
            return facts("nvidia-smi", dict.fromkeys(sorted(self.tells)), self._silence())
        memory_kib = parse_meminfo(self._commands.read("/proc/meminfo") or "").total_kib
        usable_mb = None if memory_kib is None else memory_kib // KIB_PER_MIB
        return [
            *gpu_facts(gpus, machine_gb(memory_kib), usable_mb),
            *holder_facts("nvidia-smi", list(map(_held, gpus)), self._processes),
        ]

    def _listed(self) -> bool:
        return any("GPU " in self._run(program, "-L") for program in PROGRAMS)

    def _silence(self) -> str:
        """Why nothing is known of a GPU that is there."""
        answer = ask(self._commands, PROGRAMS[0], "-L", deadline_s=DEADLINE_S)
        reason = answer.why or "what it prints is not understood"
        return f"the machine has an NVIDIA GPU, and {reason}"

    def _gpus(self, program: str) -> list[Gpu]:
        """Both ways at once; what one leaves open the other may tell."""
        answers = together(
            {
                "query": lambda: self._queried(program),
                "xml": lambda: parse_xml(self._run(program, "-q", "-x")),
            },
            DEADLINE_S + 1,
        )
        joined = _joined(answers.get("query", []), answers.get("xml", []))
        if joined and any(gpu.processes is not None for gpu in joined):
            return joined
        tabled = parse_table(self._run(program))
        return _with_holders(joined, tabled) if joined else tabled

    def _queried(self, program: str) -> list[Gpu]:
        """Query the GPUs, with fewer fields where an older driver refuses an unknown one."""
        if gpus := self._query(program, QUERY):
            return gpus
        listed = parse_fields(self._run(program, "--help-query-gpu"))
        fewer = [name for name in QUERY if name in listed]
        return self._query(program, fewer) if 0 < len(fewer) < len(QUERY) else []

    def _query(self, program: str, names: Sequence[str]) -> list[Gpu]:
        query = f"--query-gpu={','.join(names)}"
        return parse_query(self._run(program, query, "--format=csv"))

    def _run(self, *argv: str) -> str:
        answer = ask(self._commands, *argv, deadline_s=DEADLINE_S)
        return answer.text if answer.ok else ""


def _with_holders(gpus: Sequence[Gpu], tabled: Sequence[Gpu]) -> list[Gpu]:
    """Who holds their memory stands in the table too, where the fuller list has none."""
    if len(gpus) != len(tabled):
        return list(gpus)
    return [
        replace(gpu, processes=row.processes, used_mb=gpu.used_mb or row.used_mb)
        for gpu, row in zip(gpus, tabled, strict=True)
    ]


def _held(gpu: Gpu) -> Held:
    holders = None
    if gpu.processes is not None:
        holders = [Holder(pid=p.pid, name=p.name, used_mb=p.used_mb) for p in gpu.processes]
    return Held(holders=holders, in_use_mb=gpu.used_mb)


def gpu_facts(
    gpus: Sequence[Gpu], system_memory_gb: int | None, usable_mb: int | None = None
) -> list[Fact]:
    """Facts over all GPUs: memory is their sum, versions that differ stand side by side.

    `system_memory_gb` as it was sold, `usable_mb` what the system has of it.
    """
    values = {
        "gpu": _label(gpus),
        "gpu_count": len(gpus) or None,
        "gpu_driver": _each(gpu.driver for gpu in gpus),
        "cuda_version": _each(gpu.cuda for gpu in gpus),
        "gpu_compute_capability": _each(gpu.compute_capability for gpu in gpus),
        "gpu_vbios": _each(gpu.vbios for gpu in gpus),
        "gpu_power_limit_w": _sum([gpu.power_limit_w for gpu in gpus]),
        "gpu_pcie": _each(gpu.pcie for gpu in gpus),
        "gpu_device": _each(gpu.device for gpu in gpus),
        "gpu_slowed": _any([gpu.slowed for gpu in gpus]),
        "gpu_temperature_c": _most(gpu.celsius for gpu in gpus),
        "display_attached": _any([gpu.display for gpu in gpus]),
        "gpu_users": _users(gpus),
    }
    features = {"gpu_ecc": _any([g.ecc for g in gpus]), "gpu_mig": _any([g.mig for g in gpus])}
    described = all(gpu.described for gpu in gpus)
    busy = {"foreign_gpu_percent": busiest([gpu.busy_percent for gpu in gpus])}
    outside = outside_of(gpus, FIELDS)
    return [
        *facts("nvidia-smi", values, outside=outside),
        *facts("nvidia-smi", features, absent="no such feature" if described else ""),
        *facts("nvidia-smi, the engine at rest", busy, outside=outside),
        *_parts(gpus),
        *_memory(gpus, system_memory_gb, usable_mb),
    ]


def _parts(gpus: Sequence[Gpu]) -> list[Fact]:
    """One process can have one part of a GPU that is cut up; a whole card's limit is its memory."""
    parts_mb = [size for gpu in gpus for size in gpu.mig_parts_mb]
    kinds = [f"{parts_mb.count(size)} x {size} MiB" for size in dict.fromkeys(parts_mb)]
    values = {
        "gpu_mig_parts": " + ".join(kinds) or None,
        "gpu_limit_mb": max(parts_mb, default=None),
    }
    cut = [gpu.mig for gpu in gpus]
    whole = True not in cut and all(gpu.described or gpu.mig is False for gpu in gpus)
    why = "" if whole else "whether it is cut into parts is not told"
    shared = any(map(_shares_memory, gpus))
    absent = f"not cut into parts: the limit is the {'machine' if shared else 'card'}'s memory"
    return facts("nvidia-smi", values, why, absent=absent, outside=outside_of(gpus, FIELDS))


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _users(gpus: Sequence[Gpu]) -> str | None:
    return _each(program_name(user) for gpu in gpus for user in gpu.users or ())


def _memory(gpus: Sequence[Gpu], system_memory_gb: int | None, usable_mb: int | None) -> list[Fact]:
    """Return a card's own memory.

    A GPU that shares the machine's memory has that, and what the system leaves it.
    """
    if len(gpus) == 1 and _shares_memory(gpus[0]):
        shared_mb = None if system_memory_gb is None else system_memory_gb * MIB_PER_GIB
        sizes = {"gpu_memory_mb": shared_mb, "gpu_usable_mb": usable_mb}
        return [
            *facts("system memory, which it shares", sizes, "/proc/meminfo cannot be read"),
            *facts("nvidia-smi", {"gpu_unified_memory": True}),
        ]
    shares = [_shares_memory(gpu) for gpu in gpus]
    sizes_mb = [None if shared else g.memory_mb for g, shared in zip(gpus, shares, strict=True)]
    memory_mb = _sum(sizes_mb)
    own = {"gpu_memory_mb": None if memory_mb is None else int(memory_mb)}
    why = "one of its GPUs shares the machine's memory" if True in shares else ""
    return facts("nvidia-smi", own, why, outside=outside_of(gpus, FIELDS))


def _shares_memory(gpu: Gpu) -> bool:
    """By its name; one of another name by having no memory of its own to report."""
    if SHARES_MEMORY.search(gpu.name or ""):
        return True
    return gpu.no_memory and gpu.memory_mb is None and gpu.mig is not True


def _joined(queried: Sequence[Gpu], described: Sequence[Gpu]) -> list[Gpu]:
    """Each GPU by both ways, in nvidia-smi's order; what the first left open from the second.

    Where one way shows fewer, what it shows cannot be told from the rest.
    """
    if len(queried) != len(described):
        return list(queried if len(queried) > len(described) else described)
    return [_filled(*both) for both in zip(queried, described, strict=True)]


def _filled(first: Gpu, second: Gpu) -> Gpu:
    names = [field.name for field in fields(Gpu)]
    known = {n: getattr(first, n) for n in names if getattr(first, n) not in (None, ())}
    filled = Gpu(**{**{n: getattr(second, n) for n in names}, **known})
    return replace(
        filled,
        no_memory=first.no_memory or second.no_memory,
        described=first.described or second.described,
        outside={**second.outside, **first.outside},
    )


def _label(gpus: Sequence[Gpu]) -> str | None:
    """`NVIDIA L4`, `2x NVIDIA L4` for equal ones, else the first's name."""
    names = {gpu.name for gpu in gpus}
    first = gpus[0].name if gpus else None
    return f"{len(gpus)}x {first}" if first and len(gpus) > 1 and len(names) == 1 else first


def _each(values: Iterable[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(value for value in values if value)) or None


def _sum(values: Sequence[float | None]) -> float | None:
    """None as soon as one is unknown: a sum of some is no sum."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _any(values: Sequence[bool | None]) -> bool | None:
    """None where one that does not tell may be the one."""
    if True in values:
        return True
    return None if None in values or not values else False
