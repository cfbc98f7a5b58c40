"""The kernel's own files about GPUs and displays, read with one command."""

from __future__ import annotations

from fleet.fingerprint.facts import Answer, ask
from fleet.ports import Commands
from fleet.readers.amd import AmdGpu

_DEVICE = (
    *("vendor", "device", "subsystem_device", "product_name", "vbios_version"),
    *("mem_info_vram_total", "mem_info_gtt_total", "max_link_speed", "max_link_width"),
    *("mem_info_vram_used", "mem_info_gtt_used"),
    *("gpu_busy_percent", "hwmon/hwmon*/power1_cap", "hwmon/hwmon*/power1_average"),
    "hwmon/hwmon*/temp1_input",
)
_FILES = " ".join(f"/sys/class/drm/card[0-9]*/device/{name}" for name in _DEVICE)
DRM = ("sh", "-c", f"exec grep -sH '' {_FILES} /sys/class/drm/card[0-9]*-*/status")

INTEGRATED = frozenset(
    "15d8 15dd 15e7 1636 1638 163f 164c 164d 164e 1506 1681 15bf 15c8 1900 1901 13c0 150e 1114"
    " 1586".split()
)
"""AMD GPUs that are a part of the processor: their memory is carved out of the system's."""
STRIX_HALO = "1586"
LEAST_OF_A_CARD_MB = 4096
"""A card with less runs no model; firmware carves out less for a processor's small GPU."""


def device_of(gpu: AmdGpu) -> str:
    """Its PCI device, without that of the board."""
    return (gpu.device or "").split(" ")[0]


def is_integrated(gpu: AmdGpu) -> bool:
    """Known ones by their numbers, newer ones by what none of the cards has.

    The driver lets the power of a card be capped, and a card has more memory than a share that is
    carved out of the machine's, which the GPU may borrow beyond.
    """
    if device_of(gpu) in INTEGRATED:
        return True
    if gpu.power_limit_w is not None or gpu.vram_mb is None or gpu.gtt_mb is None:
        return False
    return gpu.vram_mb < min(LEAST_OF_A_CARD_MB, gpu.gtt_mb)


def ask_drm(commands: Commands) -> Answer:
    return ask(commands, *DRM)
