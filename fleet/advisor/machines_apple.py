"""Apple's chips by number of GPU cores.

Bandwidth: Apple's technical specifications and press releases; of M1, M1 Max, M3, M3 Pro and M3
Max, and of the 32-core M4 Max, the width and clock of the memory. Rates: FP32 operations of one
GPU core at its highest clock. Memory: the sizes that were sold with that variant.
"""

from __future__ import annotations

from fleet.advisor.machines_kind import MachineKind, SpeedClass

CORE_TFLOPS = {"M1": 0.331, "M2": 0.358, "M3": 0.355, "M4": 0.461, "M5": 0.435, "M6": 0.45}
"""FP32 operations of one GPU core, 10^12 a second: 128 units, two operations, the top clock."""

SPECS = "apple.com technical specifications"
WIDTH = "width and clock of the memory (wikipedia.org)"
NEWS = "apple.com newsroom"

ROWS: tuple[tuple[str, tuple[int, ...], tuple[int, ...], float, str], ...] = (
    ("M1", (7, 8), (8, 16), 68.3, WIDTH),
    ("M1 Pro", (14, 16), (16, 32), 200, NEWS),
    ("M1 Max", (24, 32), (32, 64), 400, NEWS),
    ("M1 Ultra", (48, 64), (64, 128), 800, NEWS),
    ("M2", (8, 10), (8, 16, 24), 100, NEWS),
    ("M2 Pro", (16, 19), (16, 32), 200, NEWS),
    ("M2 Max", (30, 38), (32, 64, 96), 400, NEWS),
    ("M2 Ultra", (60, 76), (64, 128, 192), 800, NEWS),
    ("M3", (8, 10), (8, 16, 24), 102.4, WIDTH),
    ("M3 Pro", (14, 18), (18, 36), 153.6, WIDTH),
    ("M3 Max", (30,), (36, 96), 300, WIDTH),
    ("M3 Max", (40,), (48, 64, 128), 400, WIDTH),
    ("M3 Ultra", (60, 80), (96, 256, 512), 819, SPECS),
    ("M4", (8, 10), (16, 24, 32), 120, NEWS),
    ("M4 Pro", (16, 20), (24, 48, 64), 273, NEWS),
    ("M4 Max", (32,), (36,), 410, WIDTH),
    ("M4 Max", (40,), (48, 64, 128), 546, NEWS),
    ("M5", (10,), (16, 24, 32), 153, NEWS),
    ("M5 Pro", (16, 20), (24, 48, 64), 307, SPECS),
    ("M5 Max", (32,), (36,), 460, SPECS),
    ("M5 Max", (40,), (48, 64, 128), 614, SPECS),
    ("M5 Ultra", (64, 80), (96, 256, 512), 1200, NEWS),
    ("M6", (12,), (16, 24, 32), 170, NEWS),
)
"""(chip, GPU cores, memory sizes sold in GB, GB/s, source)."""

UNSURE = frozenset({"M5 Ultra", "M6"})


def _kind(
    chip: str, cores: int, memory: tuple[int, ...], bandwidth: float, source: str
) -> MachineKind:
    family = chip[:2]
    matrix = family in ("M5", "M6")
    return MachineKind(
        name=chip,
        speed_class=SpeedClass.METAL_M5 if matrix else SpeedClass.METAL,
        bandwidth_gb_s=bandwidth,
        tflops=round(CORE_TFLOPS[family] * cores, 1),
        memory_gb=memory,
        source=source,
        gpu_cores=cores,
        confidence="secondary" if chip in UNSURE or source == WIDTH else "vendor",
    )


APPLE: tuple[MachineKind, ...] = tuple(
    _kind(chip, cores, memory, bandwidth, source)
    for chip, variants, memory, bandwidth, source in ROWS
    for cores in variants
)
