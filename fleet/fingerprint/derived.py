"""Facts that follow from others: memory bandwidth from the table, what the GPU may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeGuard

from fleet.fingerprint.bandwidth import Variant, look_up
from fleet.fingerprint.facts import facts
from fleet.fingerprint.sizes import MIB_PER_GIB, card_gb
from fleet.model.mac_gpu_limit import PRINTED_TO_MB
from fleet.model.machine import GPU_SIZES, Fact, FactValue

SIMULATED = "simulated"
"""The architecture of a scripted machine, which is as fast as its script says; a practice fleet
runs faster than life, and no memory holds it back."""


def derived(known: Mapping[str, Fact]) -> Iterator[Fact]:
    """Only of machines that were looked at: no chip and no GPU give nothing."""
    in_effect = list(_limit_in_effect(known))
    yield from in_effect
    values = {name: fact.value for name, fact in known.items()}
    values |= {fact.name: fact.value for fact in in_effect}
    if "chip" in known or "gpu" in known:
        if values.get("architecture") != SIMULATED:
            yield from _bandwidth(known, values)
        yield from _gpu_memory(values)


def _limit_in_effect(known: Mapping[str, Fact]) -> list[Fact]:
    """Return the limit in effect: a limit that was set counts once the engine has started anew.

    Where the engine tells another one, that is the GPU's limit, and the conflict is a fact.
    """
    setting, engine = known.get("wired_limit_mb"), known.get("engine_gpu_limit_mb")
    if setting is None or engine is None or not _is_size(setting.value):
        return []
    name, source = "gpu_limit_conflict", "sysctl iogpu, Ollama's log"
    if setting.value == 0:
        return facts(source, {name: None}, absent="no limit is set")
    if not _is_size(engine.value):
        return facts(source, {name: None}, f"what Ollama works with is not known: {engine.source}")
    if abs(setting.value - engine.value) <= PRINTED_TO_MB:
        return facts(source, {name: None}, absent="the limit that is set is in effect")
    words = f"set to {setting.value} MiB, Ollama works with {engine.value} MiB"
    return [*facts(source, {name: words}), *facts(engine.source, {"gpu_limit_mb": engine.value})]


def _bandwidth(known: Mapping[str, Fact], values: Mapping[str, FactValue]) -> list[Fact]:
    """Of the memory that holds the weights: the GPU's own, else the machine's."""
    chip, gpu = str(values.get("chip") or ""), str(values.get("gpu") or "")
    shares = values.get("gpu_unified_memory") is True or gpu in ("", chip)
    card = re.sub(r"^\d+x ", "", gpu)
    variant, why = _looked_up(card if gpu and gpu != chip else chip, values)
    if variant is None and shares and card and gpu != chip:
        variant, _ = _looked_up(chip, values)
    measured = known.get("memory_bandwidth_gb_s")
    if variant is None and shares and measured is not None and measured.value is not None:
        return []  # the sum over the modules is known already
    if variant is None:
        return facts("bandwidth table", {"memory_bandwidth_gb_s": None}, why)
    bandwidth = facts(
        f"bandwidth table ({variant.source})", {"memory_bandwidth_gb_s": variant.gb_s}
    )
    if shares and variant.memory_type:
        bandwidth += facts("bandwidth table", {"memory_type": variant.memory_type})
    return bandwidth


def _looked_up(name: str, values: Mapping[str, FactValue]) -> tuple[Variant | None, str]:
    cores, memory_mb, count = (
        values.get(fact) for fact in ("gpu_cores", "gpu_memory_mb", "gpu_count")
    )
    each_mb = memory_mb / max(count, 1) if _is_size(memory_mb) and isinstance(count, int) else None
    return look_up(
        name, cores if isinstance(cores, int) else None, card_gb(each_mb) if each_mb else None
    )


def _gpu_memory(values: Mapping[str, FactValue]) -> list[Fact]:
    """Return what a GPU may use; what is merely usual on such machines is no such fact."""
    names = [name for name in GPU_SIZES if name != "gpu_limit_expected_mb"]
    for name in names:
        size_mb = values.get(name)
        if _is_size(size_mb):
            return facts(name, {"gpu_memory_gb": round(size_mb / MIB_PER_GIB, 2)})
    return facts(", ".join(names), {"gpu_memory_gb": None}, "none of them is known")


def _is_size(value: FactValue) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
