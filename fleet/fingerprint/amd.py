"""Facts of AMD GPUs: the kernel's files, and a name from ROCm's tools where they are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

from fleet.fingerprint.drm import STRIX_HALO, ask_drm, device_of, is_integrated
from fleet.fingerprint.facts import Answer, ask, ask_all, facts, outside_of
from fleet.fingerprint.gpu_holders import Held, Holder, OwnProcesses, holder_facts
from fleet.fingerprint.load import busiest
from fleet.fingerprint.sizes import KIB_PER_MIB, MIB_PER_GIB, machine_gb
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.amd import AmdGpu, parse_amd_smi, parse_drm, parse_kfd, parse_rocm_smi
from fleet.readers.proc import parse_meminfo
from fleet.readers.text import one_space

TOOLS = {
    "amd-smi": ("amd-smi", "static", "--json"),
    "rocm-smi": ("rocm-smi", "-a", "--json"),
}
TOOLS_DEADLINE_S = 5.0
ROCM_VERSION = "/opt/rocm/.info/version"
DRIVER_VERSION = "/sys/module/amdgpu/version"


KFD = ("sh", "-c", "cd /sys/class/kfd/kfd/proc || exit 1; grep -sH '' $PWD/*/vram_*; exit 0")
FIELDS = {
    "gpu_vram_mb": "vram_mb",
    "gpu_gtt_mb": "gtt_mb",
    "gpu_memory_mb": "vram_mb",
    "gpu_limit_mb": "gtt_mb",
    "gpu_power_limit_w": "power_limit_w",
    "gpu_temperature_c": "celsius",
    "foreign_gpu_percent": "busy_percent",
}
"""Facts by the field of a GPU that they come from."""


class AmdProbe:
    name = "amd"
    tells = frozenset(
        {
            *("gpu", "gpu_count", "gpu_memory_mb", "gpu_pcie", "gpu_device", "rocm_version"),
            *("gpu_vbios", "foreign_gpu_percent", "foreign_gpu_memory_mb"),
        }
    )

    def __init__(self, commands: Commands, processes: OwnProcesses | None = None) -> None:
        self._commands = commands
        self._processes = processes or OwnProcesses(commands)

    def available(self) -> bool:
        return bool(parse_drm(ask_drm(self._commands).text))

    def collect(self) -> Sequence[Fact]:
        gpus = parse_drm(ask_drm(self._commands).text)
        tools = ask_all(self._commands, TOOLS, TOOLS_DEADLINE_S)
        named = parse_amd_smi(tools["amd-smi"].text) or parse_rocm_smi(tools["rocm-smi"].text)
        memory_kib = parse_meminfo(self._commands.read("/proc/meminfo") or "").total_kib
        gpus = joined(gpus, named)
        return [
            *amd_facts(gpus, memory_kib),
            *self._versions(gpus),
            *self._holders(gpus, ask(self._commands, *KFD)),
        ]

    def _versions(self, gpus: Sequence[AmdGpu]) -> list[Fact]:
        """Of a driver built apart from the kernel; the kernel's own has that of the kernel."""
        read = self._commands.read
        driver = one_space(read(DRIVER_VERSION)) or _each(gpu.driver for gpu in gpus)
        rocm = {"rocm_version": one_space(read(ROCM_VERSION))}
        return [
            *facts("amdgpu", {"gpu_driver": driver}, absent="the driver is the kernel's own"),
            *facts("/opt/rocm", rocm, absent="no ROCm there: engines use Vulkan, or bring it"),
        ]

    def _holders(self, gpus: Sequence[AmdGpu], listed: Answer) -> list[Fact]:
        """ROCm's programs by the kernel's list; what it does not list shows in the sum in use."""
        counted = [gpu for gpu in gpus if not is_integrated(gpu)] or gpus
        holders = [
            Holder(pid=pid, used_mb=used_mb) for pid, used_mb in parse_kfd(listed.text).items()
        ]
        held = Held(holders=holders if listed.ok else None, in_use_mb=_in_use_mb(counted))
        return holder_facts("amdgpu", [held], self._processes)


def joined(gpus: Sequence[AmdGpu], named: Sequence[AmdGpu]) -> list[AmdGpu]:
    """Each GPU by the kernel's files, what they leave open from the tool.

    Paired by the kind of device; a tool that tells none counts only where the order can.
    """
    if len(gpus) == len(named) and not any(gpu.device for gpu in named):
        return [_filled(*both) for both in zip(gpus, named, strict=True)]
    waiting = [gpu for gpu in named if gpu.device]
    whole: list[AmdGpu] = []
    for gpu in gpus:
        alike = next((other for other in waiting if other.device == device_of(gpu)), None)
        if alike is not None:
            waiting.remove(alike)
        whole.append(_filled(gpu, alike or AmdGpu()))
    return whole


def amd_facts(gpus: Sequence[AmdGpu], memory_kib: int | None) -> list[Fact]:
    """Return the facts of the GPUs.

    A processor's own GPU counts only where engines use it; cards beside it always count.
    """
    cards = [gpu for gpu in gpus if not is_integrated(gpu)]
    unified = [gpu for gpu in gpus if device_of(gpu) == STRIX_HALO]
    if cards or not unified:
        beside = [gpu for gpu in gpus if gpu not in cards]
        result = facts("/sys/class/drm", {"integrated_gpu": _names(beside)}, absent="none")
        return result + (_card_facts(cards) if cards else [])
    return _unified_facts(unified[0], memory_kib)


def _card_facts(cards: Sequence[AmdGpu]) -> list[Fact]:
    sizes_mb = [card.vram_mb for card in cards if card.vram_mb is not None]
    memory = {"gpu_memory_mb": sum(sizes_mb) if len(sizes_mb) == len(cards) else None}
    whole_card = {"gpu_limit_mb": None}
    return [
        *_common(cards),
        *facts("amdgpu", memory, outside=outside_of(cards, FIELDS)),
        *facts("amdgpu", whole_card, absent="a card's limit is its memory"),
    ]


def _unified_facts(gpu: AmdGpu, memory_kib: int | None) -> list[Fact]:
    """Its own share and what it may borrow are the limit; the memory is the machine's."""
    limit_mb = _sum([gpu.vram_mb, gpu.gtt_mb])
    installed_kib = (
        None
        if memory_kib is None or gpu.vram_mb is None
        else memory_kib + gpu.vram_mb * KIB_PER_MIB
    )
    memory_gb = machine_gb(installed_kib)
    values = {
        "gpu_memory_mb": None if memory_gb is None else memory_gb * MIB_PER_GIB,
        "gpu_unified_memory": True,
        "gpu_limit_mb": limit_mb,
    }
    outside = outside_of([gpu], FIELDS)
    return [*_common([gpu]), *facts("amdgpu: VRAM and GTT", values, outside=outside)]


def _common(gpus: Sequence[AmdGpu]) -> list[Fact]:
    limits_w = [gpu.power_limit_w for gpu in gpus if gpu.power_limit_w is not None]
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
    outside = outside_of(gpus, FIELDS)
    busy = {"foreign_gpu_percent": busiest([gpu.busy_percent for gpu in gpus])}
    return [
        *facts("amdgpu", values, outside=outside),
        *facts("amdgpu", {"gpu_temperature_c": max(heat, default=None)}, outside=outside),
        *facts("amdgpu, the engine at rest", busy, outside=outside),
    ]


def _in_use_mb(gpus: Sequence[AmdGpu]) -> int | None:
    """Of a GPU without memory of its own, what it has borrowed too."""
    parts = [
        part
        for gpu in gpus
        for part in ([gpu.vram_used_mb, gpu.gtt_used_mb][: 2 if is_integrated(gpu) else 1])
    ]
    return _sum(parts)


def _names(gpus: Sequence[AmdGpu]) -> str | None:
    """Name the GPUs; one without a name goes by its numbers, which people can look up."""
    names = [gpu.name or f"AMD GPU {device_of(gpu)}" for gpu in gpus]
    if len(names) > 1 and len(set(names)) == 1:
        return f"{len(names)}x {names[0]}"
    return names[0] if names else None


def _filled(first: AmdGpu, second: AmdGpu) -> AmdGpu:
    names = [field.name for field in fields(AmdGpu)]
    filled = AmdGpu(
        **{
            name: getattr(first, name)
            if getattr(first, name) is not None
            else getattr(second, name)
            for name in names
        }
    )
    return replace(filled, outside={**second.outside, **first.outside})


def _each(values: Iterable[str | None]) -> str | None:
    return "; ".join(dict.fromkeys(value for value in values if value)) or None


def _sum(values: Iterable[int | None]) -> int | None:
    numbers = list(values)
    known = [value for value in numbers if value is not None]
    return sum(known) if known and len(known) == len(numbers) else None
