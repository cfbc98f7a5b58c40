"""One kind of machine or card, and one machine of that kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from fleet.advisor.amounts import Amount, Certainty, modelled
from fleet.advisor.limits import Limit, mac_default, of_card
from fleet.advisor.need import Backend
from fleet.units import GIB, MIB


class SpeedClass(StrEnum):
    """Machines for which one set of constants holds."""

    METAL = "metal"
    METAL_M5 = "metal_m5"
    """Chips whose GPU cores have matrix units."""
    CUDA = "cuda"
    GB10 = "cuda_gb10"
    ROCM = "rocm"
    ROCM_SHARED = "rocm_uma"
    VULKAN_SHARED = "vulkan_uma"


CARD_USABLE = 0.995
"""Of a card's nominal memory so much can be allocated."""
GB10_USABLE = 0.94
STRIX_SHARES = (0.5, 0.75, 0.94)
"""What the GPU of a Strix Halo may use by kernel and firmware: half by default, 96 of 128 GB set in
the firmware, nearly all with a kernel parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineKind:
    """A chip or a card as sold.

    `bandwidth_gb_s` and `tflops` are the vendor's peaks. `tflops` is what prefill can use: of
    Apple's chips the FP32 rate of the shader cores, else the FP16 rate of the matrix units.
    """

    name: str
    speed_class: SpeedClass
    bandwidth_gb_s: float
    tflops: float
    memory_gb: tuple[int, ...]
    source: str
    gpu_cores: int | None = None
    aliases: tuple[str, ...] = ()
    confidence: Literal["vendor", "secondary", "user"] = "secondary"

    @property
    def backend(self) -> Backend:
        if self.speed_class in (SpeedClass.METAL, SpeedClass.METAL_M5):
            return "metal"
        if self.speed_class in (SpeedClass.CUDA, SpeedClass.GB10):
            return "cuda"
        return "vulkan" if self.speed_class is SpeedClass.VULKAN_SHARED else "rocm"

    @property
    def is_apple(self) -> bool:
        return self.backend == "metal"

    @property
    def shares_memory(self) -> bool:
        """Whether GPU and CPU have one memory."""
        return self.speed_class not in (SpeedClass.CUDA, SpeedClass.ROCM)

    @property
    def label(self) -> str:
        return f"{self.name} {self.gpu_cores}-core" if self.gpu_cores else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One machine: a kind, its memory, and how many cards."""

    kind: MachineKind
    memory_gb: float
    devices: int = 1
    limit_mib: float | None = None
    """The GPU limit in force, where somebody read or set it."""
    notes: tuple[str, ...] = ()
    """What was assumed of it, in sentences."""
    called: str = ""
    """The name that its owner gave it."""

    @property
    def name(self) -> str:
        if self.called:
            return f"{self.called}, {replace(self, called='').name}"
        count = f"{self.devices}x " if self.devices > 1 else ""
        return f"{count}{self.kind.label} {self.memory_gb:g} GB"

    @property
    def ram_bytes(self) -> float | None:
        """Memory of a machine whose GPU shares it; None for cards with their own."""
        return self.memory_gb * GIB if self.kind.shares_memory else None

    def limits(self) -> tuple[Limit, ...]:
        """Return the GPU limit; of a Mac that nobody asked one for each generation of macOS."""
        if self.limit_mib is not None:
            size = self.limit_mib * MIB
            limit = Amount(size, size, size, Certainty.EXACT)
            return (Limit(bytes=limit, label="limit of this machine"),)
        if self.kind.is_apple:
            return tuple(mac_default(round(self.memory_gb), macos) for macos in (15, 26))
        if not self.kind.shares_memory:
            return (of_card(self.memory_gb * 1024 * CARD_USABLE, self.devices),)
        whole = self.memory_gb * GIB
        if self.kind.speed_class is SpeedClass.GB10:
            size = GB10_USABLE * whole
            return (Limit(bytes=modelled(size, 0.9 * whole, 0.95 * whole), label="shared memory"),)
        low, middle, high = (share * whole for share in STRIX_SHARES)
        return (Limit(bytes=modelled(middle, low, high), label="by firmware and kernel"),)
