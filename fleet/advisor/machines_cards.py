"""Graphics cards and machines with a GPU that shares their memory, other than Apple's.

Peaks of the vendors' data sheets, read through secondary sources: GB/s, and 10^12 operations a
second of the matrix units in FP16 without sparsity (of AMD's cards the doubled FP16 rate).
"""

from __future__ import annotations

from fleet.advisor.machines_kind import MachineKind, SpeedClass

DATA_SHEET = "vendor's data sheet, read through a secondary source"

CUDA_ROWS: tuple[tuple[str, tuple[int, ...], float, float], ...] = (
    ("RTX 2060", (6, 12), 336, 52),
    ("RTX 2070", (8,), 448, 60),
    ("RTX 2080", (8,), 448, 80),
    ("RTX 2080 Ti", (11, 22), 616, 108),
    ("RTX 3060", (12,), 360, 51),
    ("RTX 3060 Ti", (8,), 448, 65),
    ("RTX 3070", (8,), 448, 81),
    ("RTX 3070 Ti", (8,), 608, 87),
    ("RTX 3070 Ti Laptop", (8,), 448, 66),
    ("RTX 3080", (10, 12), 760, 119),
    ("RTX 3080 Ti", (12,), 912, 136),
    ("RTX 3090", (24,), 936, 142),
    ("RTX 3090 Ti", (24,), 1008, 160),
    ("RTX 4060", (8,), 272, 60),
    ("RTX 4060 Ti", (8, 16), 288, 88),
    ("RTX 4070", (12,), 504, 117),
    ("RTX 4070 Super", (12,), 504, 142),
    ("RTX 4070 Ti", (12,), 504, 160),
    ("RTX 4070 Ti Super", (16,), 672, 176),
    ("RTX 4080", (16,), 717, 195),
    ("RTX 4080 Super", (16,), 736, 209),
    ("RTX 4090", (24,), 1008, 330),
    ("RTX 5060 Ti", (8, 16), 448, 95),
    ("RTX 5070", (12,), 672, 123),
    ("RTX 5070 Ti", (16,), 896, 176),
    ("RTX 5080", (16,), 960, 225),
    ("RTX 5090", (32,), 1792, 419),
    ("RTX A4000", (16,), 448, 77),
    ("RTX A5000", (24,), 768, 111),
    ("RTX A6000", (48,), 768, 155),
    ("RTX 4000 Ada", (20,), 360, 107),
    ("RTX 5000 Ada", (32,), 576, 261),
    ("RTX 6000 Ada", (48,), 960, 364),
    ("RTX PRO 6000", (96,), 1792, 504),
    ("T4", (16,), 320, 65),
    ("V100", (16, 32), 900, 112),
    ("A10", (24,), 600, 125),
    ("A40", (48,), 696, 150),
    ("L4", (24,), 300, 121),
    ("L40S", (48,), 864, 362),
    ("A100 PCIe", (40, 80), 1935, 312),
    ("A100 40GB", (40,), 1555, 312),
    ("A100 SXM", (80,), 2039, 312),
    ("H100 PCIe", (80,), 2000, 756),
    ("H100 SXM", (80,), 3352, 989),
    ("H100 NVL", (94,), 3938, 835),
    ("H200", (141,), 4800, 989),
    ("B200", (180,), 8000, 2250),
)
"""(card, memory sizes in GB, GB/s, TFLOPS)."""

ROCM_ROWS: tuple[tuple[str, tuple[int, ...], float, float], ...] = (
    ("RX 6800 XT", (16,), 512, 41),
    ("RX 6900 XT", (16,), 512, 46),
    ("RX 7800 XT", (16,), 624, 75),
    ("RX 7900 XT", (20,), 800, 103),
    ("RX 7900 XTX", (24,), 960, 123),
    ("RX 9070 XT", (16,), 640, 195),
    ("R9700", (32,), 640, 191),
    ("MI300X", (192,), 5300, 1307),
)

ALIASES = {
    "RTX PRO 6000": ("RTX PRO 6000 Blackwell",),
    "A100 SXM": ("A100", "A100 80GB", "A100-SXM4-80GB"),
    "H100 SXM": ("H100",),
    "R9700": ("Radeon AI PRO R9700", "AI PRO R9700"),
}

STRIX_ALIASES = ("Ryzen AI Max+ 395", "AI Max 395", "Framework Desktop", "Radeon 8060S")
STRIX_MEMORY_GB = (32, 64, 96, 128)

SHARED: tuple[MachineKind, ...] = (
    MachineKind(
        name="GB10",
        speed_class=SpeedClass.GB10,
        bandwidth_gb_s=273,
        tflops=125,
        memory_gb=(128,),
        source=DATA_SHEET,
        aliases=("DGX Spark", "Dell Pro Max with GB10", "ASUS Ascent GX10"),
    ),
    MachineKind(
        name="Strix Halo",
        speed_class=SpeedClass.ROCM_SHARED,
        bandwidth_gb_s=256,
        tflops=59,
        memory_gb=STRIX_MEMORY_GB,
        source=DATA_SHEET,
        aliases=("Strix Halo ROCm", *STRIX_ALIASES),
    ),
    MachineKind(
        name="Strix Halo Vulkan",
        speed_class=SpeedClass.VULKAN_SHARED,
        bandwidth_gb_s=256,
        tflops=59,
        memory_gb=STRIX_MEMORY_GB,
        source=DATA_SHEET,
    ),
)


def _cards(
    rows: tuple[tuple[str, tuple[int, ...], float, float], ...], kind: SpeedClass
) -> tuple[MachineKind, ...]:
    return tuple(
        MachineKind(
            name=name,
            speed_class=kind,
            bandwidth_gb_s=bandwidth,
            tflops=tflops,
            memory_gb=memory,
            source=DATA_SHEET,
            aliases=ALIASES.get(name, ()),
        )
        for name, memory, bandwidth, tflops in rows
    )


CARDS: tuple[MachineKind, ...] = (
    *_cards(CUDA_ROWS, SpeedClass.CUDA),
    *_cards(ROCM_ROWS, SpeedClass.ROCM),
    *SHARED,
)
