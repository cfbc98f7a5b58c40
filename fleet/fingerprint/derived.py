"""Facts that follow from others: memory bandwidth from the table, what the GPU may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeGuard

from fleet.fingerprint.bandwidth import look_up
from fleet.fingerprint.facts import facts
from fleet.fingerprint.sizes import MIB_PER_GIB, card_gb
from fleet.model.machine import Fact, FactValue

SIMULATED = "simulated"
"""The architecture of a scripted machine, which is as fast as its script says; a practice fleet
runs faster than life, and no memory holds it back."""


def derived(known: Mapping[str, Fact]) -> Iterator[Fact]:
    """Only of machines that were looked at: no chip and no GPU give nothing."""
    values = {name: fact.value for name, fact in known.items()}
    if "chip" in known or "gpu" in known:
        if values.get("architecture") != SIMULATED:
            yield from _bandwidth(known, values)
        yield from _gpu_memory(values)


def _bandwidth(known: Mapping[str, Fact], values: Mapping[str, FactValue]) -> list[Fact]:
    """Of the memory that holds the weights: the GPU's own, else the machine's."""
    chip, gpu = str(values.get("chip") or ""), str(values.get("gpu") or "")
    cores, memory_mb = values.get("gpu_cores"), values.get("gpu_memory_mb")
    count = values.get("gpu_count")
    each_mb = memory_mb / max(count, 1) if _is_size(memory_mb) and isinstance(count, int) else None
    own = gpu != "" and gpu != chip and values.get("gpu_unified_memory") is not True
    found, why = look_up(
        re.sub(r"^\d+x ", "", gpu) if own else chip,
        cores if isinstance(cores, int) else None,
        card_gb(each_mb) if each_mb else None,
    )
    measured = known.get("memory_bandwidth_gb_s")
    if found is None and not own and measured is not None and measured.value is not None:
        return []  # the sum over the modules, already told
    if found is None:
        return facts("bandwidth table", {"memory_bandwidth_gb_s": None}, why)
    told = facts(f"bandwidth table ({found.source})", {"memory_bandwidth_gb_s": found.gb_s})
    if not own and found.memory_type:
        told += facts("bandwidth table", {"memory_type": found.memory_type})
    return told


def _gpu_memory(values: Mapping[str, FactValue]) -> list[Fact]:
    for name in ("gpu_limit_mb", "gpu_memory_mb"):
        size_mb = values.get(name)
        if _is_size(size_mb):
            return facts(name, {"gpu_memory_gb": round(size_mb / MIB_PER_GIB, 2)})
    return facts("gpu_limit_mb, gpu_memory_mb", {"gpu_memory_gb": None}, "neither is known")


def _is_size(value: FactValue) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
