"""Facts of AMD GPUs: the kernel's files, and a name from ROCm's tools where they are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from fleet.fingerprint.drm import INTEGRATED, STRIX_HALO, ask_drm
from fleet.fingerprint.facts import ask_all, facts
from fleet.fingerprint.sizes import KIB_PER_MIB, MIB_PER_GIB, machine_gb
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.amd import AmdGpu, parse_amd_smi, parse_drm, parse_rocm_smi
from fleet.readers.proc import parse_meminfo
from fleet.readers.text import one_space

TOOLS = {
    "amd-smi": ("amd-smi", "static", "--json"),
    "rocm-smi": ("rocm-smi", "-a", "--json"),
}
TOOLS_DEADLINE_S = 5.0
ROCM_VERSION = "/opt/rocm/.info/version"
DRIVER_VERSION = "/sys/module/amdgpu/version"


class AmdProbe:
    name = "amd"
    tells = frozenset(
        {"gpu", "gpu_count", "gpu_memory_mb", "gpu_pcie", "gpu_device", "rocm_version", "gpu_vbios"}
    )

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def available(self) -> bool:
        return bool(parse_drm(ask_drm(self._commands).text))

    def collect(self) -> Sequence[Fact]:
        found = parse_drm(ask_drm(self._commands).text)
        tools = ask_all(self._commands, TOOLS, TOOLS_DEADLINE_S)
        named = parse_amd_smi(tools["amd-smi"].text) or parse_rocm_smi(tools["rocm-smi"].text)
        memory_kib = parse_meminfo(self._commands.read("/proc/meminfo") or "").total_kib
        versions = {
            "rocm_version": one_space(self._commands.read(ROCM_VERSION)),
            "gpu_driver": one_space(self._commands.read(DRIVER_VERSION)),
        }
        return [
            *amd_facts(joined(found, named), memory_kib),
            *facts("/opt/rocm", versions, "not there: the kernel's own driver, or Vulkan"),
        ]


def joined(found: Sequence[AmdGpu], named: Sequence[AmdGpu]) -> list[AmdGpu]:
    """Each GPU by the kernel's files, what they leave open from the tool.

    Paired by the kind of device; a tool that tells none counts only where the order can.
    """
    if len(found) == len(named) and not any(gpu.device for gpu in named):
        return [_filled(*both) for both in zip(found, named, strict=True)]
    waiting = [gpu for gpu in named if gpu.device]
    whole: list[AmdGpu] = []
    for gpu in found:
        alike = next((one for one in waiting if one.device == _device(gpu)), None)
        if alike is not None:
            waiting.remove(alike)
        whole.append(_filled(gpu, alike or AmdGpu()))
    return whole


def amd_facts(gpus: Sequence[AmdGpu], memory_kib: int | None) -> list[Fact]:
    """A processor's own GPU counts only where engines use it; cards beside it always do."""
    cards = [gpu for gpu in gpus if _device(gpu) not in INTEGRATED]
    unified = [gpu for gpu in gpus if _device(gpu) == STRIX_HALO]
    if cards or not unified:
        beside = [gpu for gpu in gpus if gpu not in cards]
        told = facts("/sys/class/drm", {"integrated_gpu": _names(beside)}, "none")
        return told + (_card_facts(cards) if cards else [])
    return _unified_facts(unified[0], memory_kib)


def _card_facts(cards: Sequence[AmdGpu]) -> list[Fact]:
    sizes_mb = [card.vram_mb for card in cards if card.vram_mb is not None]
    memory = {"gpu_memory_mb": sum(sizes_mb) if len(sizes_mb) == len(cards) else None}
    whole_card = {"gpu_limit_mb": None}
    return [
        *_common(cards),
        *facts("amdgpu", memory),
        *facts("amdgpu", whole_card, "a card's limit is its memory"),
    ]


def _unified_facts(gpu: AmdGpu, memory_kib: int | None) -> list[Fact]:
    """Its own share and what it may borrow are the limit; the memory is the machine's."""
    known = gpu.vram_mb is not None and gpu.gtt_mb is not None
    limit_mb = (gpu.vram_mb or 0) + (gpu.gtt_mb or 0) if known else None
    carved_kib = (gpu.vram_mb or 0) * KIB_PER_MIB
    memory_gb = machine_gb(None if memory_kib is None else memory_kib + carved_kib)
    values = {
        "gpu_memory_mb": None if memory_gb is None else memory_gb * MIB_PER_GIB,
        "gpu_unified_memory": True,
        "gpu_limit_mb": limit_mb,
    }
    return [*_common([gpu]), *facts("amdgpu: VRAM and GTT", values)]


def _common(gpus: Sequence[AmdGpu]) -> list[Fact]:
    limits_w = [gpu.power_limit_w for gpu in gpus if gpu.power_limit_w is not None]
    busy = [gpu.busy_percent for gpu in gpus if gpu.busy_percent is not None]
    heat = [gpu.celsius for gpu in gpus if gpu.celsius is not None]
    values = {
        "gpu": _names(gpus),
        "gpu_count": len(gpus),
        "gpu_device": _each(gpu.device for gpu in gpus),
        "gpu_vbios": _each(gpu.vbios for gpu in gpus),
        "gpu_pcie": _each(gpu.pcie for gpu in gpus),
        "gpu_vram_mb": _sum(gpu.vram_mb for gpu in gpus),
        "gpu_gtt_mb": _sum(gpu.gtt_mb for gpu in gpus),
        "gpu_power_limit_w": sum(limits_w) if len(limits_w) == len(gpus) else None,
    }
    return [
        *facts("amdgpu", values),
        *facts("amdgpu", {"gpu_temperature_c": max(heat, default=None)}),
        *facts("amdgpu, the engine at rest", {"foreign_gpu_percent": max(busy, default=None)}),
    ]


def _names(gpus: Sequence[AmdGpu]) -> str | None:
    """A GPU that nothing names goes by its numbers, which people can look up."""
    names = [gpu.name or f"AMD GPU {_device(gpu)}" for gpu in gpus]
    if len(names) > 1 and len(set(names)) == 1:
        return f"{len(names)}x {names[0]}"
    return names[0] if names else None


def _device(gpu: AmdGpu) -> str:
    return (gpu.device or "").split(" ")[0]


def _filled(first: AmdGpu, second: AmdGpu) -> AmdGpu:
    names = [field.name for field in fields(AmdGpu)]
    return AmdGpu(
        **{
            name: getattr(first, name)
            if getattr(first, name) is not None
            else getattr(second, name)
            for name in names
        }
    )


def _each(values: Iterable[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(value for value in values if value)) or None


def _sum(values: Iterable[int | None]) -> int | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return sum(known) if known and len(known) == len(found) else None
