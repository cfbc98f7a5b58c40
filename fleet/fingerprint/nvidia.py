"""Facts of NVIDIA GPUs, from nvidia-smi. Serial numbers and UUIDs are never read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields

from fleet.fingerprint.facts import ask, facts, together
from fleet.fingerprint.sizes import MIB_PER_GIB, machine_gb
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
from fleet.readers.proc import parse_meminfo

PROGRAMS = ("nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi")
DEADLINE_S = 20.0
"""Without persistence mode the driver starts anew at each call: seconds."""
SHARES_MEMORY = re.compile(r"\b(GB10|Thor|Orin)\b")
"""GPUs without memory of their own, which report none."""


class NvidiaProbe:
    name = "nvidia"
    tells = frozenset(
        {
            *("gpu", "gpu_count", "gpu_memory_mb", "gpu_pcie", "gpu_device", "gpu_driver"),
            *("cuda_version", "gpu_vbios", "gpu_ecc", "gpu_mig", "gpu_power_limit_w"),
        }
    )

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def available(self) -> bool:
        """Listing fails where a driver is installed but there is no GPU."""
        return any("GPU " in self._run(program, "-L") for program in PROGRAMS)

    def collect(self) -> Sequence[Fact]:
        gpus = next(filter(None, map(self._gpus, PROGRAMS)), [])
        return gpu_facts(gpus, self._system_memory_gb())

    def _gpus(self, program: str) -> list[Gpu]:
        """Both ways at once; what one leaves open the other may tell."""
        told = together(
            {
                "query": lambda: self._queried(program),
                "xml": lambda: parse_xml(self._run(program, "-q", "-x")),
            },
            DEADLINE_S + 1,
        )
        joined = _joined(told.get("query", []), told.get("xml", []))
        return joined or parse_table(self._run(program))

    def _queried(self, program: str) -> list[Gpu]:
        """An older driver refuses the whole query over one unknown field, and lists its own."""
        if found := self._query(program, QUERY):
            return found
        listed = parse_fields(self._run(program, "--help-query-gpu"))
        fewer = [name for name in QUERY if name in listed]
        return self._query(program, fewer) if 0 < len(fewer) < len(QUERY) else []

    def _query(self, program: str, names: Sequence[str]) -> list[Gpu]:
        query = f"--query-gpu={','.join(names)}"
        return parse_query(self._run(program, query, "--format=csv"))

    def _run(self, *argv: str) -> str:
        answer = ask(self._commands, *argv, deadline_s=DEADLINE_S)
        return answer.text if answer.ok else ""

    def _system_memory_gb(self) -> int | None:
        return machine_gb(parse_meminfo(self._commands.read("/proc/meminfo") or "").total_kib)


def gpu_facts(gpus: Sequence[Gpu], system_memory_gb: int | None) -> list[Fact]:
    """Facts over all GPUs: memory is their sum, versions that differ stand side by side."""
    values = {
        "gpu": _label(gpus),
        "gpu_count": len(gpus) or None,
        "gpu_driver": _each(gpu.driver for gpu in gpus),
        "cuda_version": _each(gpu.cuda for gpu in gpus),
        "gpu_compute_capability": _each(gpu.compute_capability for gpu in gpus),
        "gpu_vbios": _each(gpu.vbios for gpu in gpus),
        "gpu_power_limit_w": _sum([gpu.power_limit_w for gpu in gpus]),
        "gpu_ecc": _any(gpu.ecc for gpu in gpus),
        "gpu_mig": _any(gpu.mig for gpu in gpus),
        "gpu_pcie": _each(gpu.pcie for gpu in gpus),
        "gpu_device": _each(gpu.device for gpu in gpus),
        "gpu_slowed": _any(gpu.slowed for gpu in gpus),
        "gpu_temperature_c": _most(gpu.celsius for gpu in gpus),
        "display_attached": _any(gpu.display for gpu in gpus),
        "gpu_users": _users(gpus),
    }
    busy = (gpu.busy_percent for gpu in gpus)
    return [
        *facts("nvidia-smi", values),
        *facts("nvidia-smi, the engine at rest", {"foreign_gpu_percent": _most(busy)}),
        *_parts(gpus),
        _memory(gpus, system_memory_gb),
    ]


def _parts(gpus: Sequence[Gpu]) -> list[Fact]:
    """One process can have one part of a GPU that is cut up; a whole card's limit is its memory."""
    parts_mb = [size for gpu in gpus for size in gpu.mig_parts_mb]
    kinds = [f"{parts_mb.count(size)} x {size} MiB" for size in dict.fromkeys(parts_mb)]
    values = {
        "gpu_mig_parts": " + ".join(kinds) or None,
        "gpu_limit_mb": max(parts_mb, default=None),
    }
    return facts("nvidia-smi", values, "not cut into parts: the limit is the card's memory")


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _users(gpus: Sequence[Gpu]) -> str | None:
    """Names without their folders: a path can hold a person's name."""
    names = (user.replace("\\", "/").rsplit("/", 1)[-1] for gpu in gpus for user in gpu.users or ())
    return _each(names)


def _memory(gpus: Sequence[Gpu], system_memory_gb: int | None) -> Fact:
    memory_mb = _sum([gpu.memory_mb for gpu in gpus])
    shares = len(gpus) == 1 and SHARES_MEMORY.search(gpus[0].name or "") is not None
    if memory_mb is None and shares and system_memory_gb:
        shared_mb = system_memory_gb * MIB_PER_GIB
        return Fact(name="gpu_memory_mb", value=shared_mb, source="system memory")
    return Fact(
        name="gpu_memory_mb",
        value=None if memory_mb is None else int(memory_mb),
        source="nvidia-smi",
    )


def _joined(queried: Sequence[Gpu], described: Sequence[Gpu]) -> list[Gpu]:
    """Each GPU by both ways, in nvidia-smi's order; what the first left open from the second."""
    if len(queried) != len(described):
        return list(queried or described)
    return [_filled(*both) for both in zip(queried, described, strict=True)]


def _filled(first: Gpu, second: Gpu) -> Gpu:
    names = [field.name for field in fields(Gpu)]
    known = {n: getattr(first, n) for n in names if getattr(first, n) not in (None, ())}
    return Gpu(**{**{n: getattr(second, n) for n in names}, **known})


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


def _any(values: Iterable[bool | None]) -> bool | None:
    """None where none of them tells."""
    known = [value for value in values if value is not None]
    return any(known) if known else None
