"""The table of quantities: the least and the largest value of each number that a machine reports.

The table has one line for each fact, each reading over time and each number that a parser returns.
A value outside its bounds is damage, or a tool's way to say that it does not know; it becomes null
with the reason, never a number. The bounds leave room for the machines of the next years, no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.model.plain_text import one_line


@dataclass(frozen=True, slots=True)
class Quantity:
    """The bounds of a number, and its unit."""

    least: float
    most: float
    unit: str = ""

    def problem(self, value: object) -> str:
        """Return why the value is impossible; empty: it is possible."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"not a number: {one_line(repr(value), 60)}"
        if self.least <= value <= self.most:  # false for NaN
            return ""
        return f"out of range: {shown(value)} {self.unit}".rstrip()


COUNT = Quantity(0, 2**53)
"""More than a machine counts in a million years."""
CPUS = Quantity(1, 2**16, "cores")
APPLE_GPU_CORES = Quantity(1, 100, "GPU cores")
"""Only Apple's chips report them; 80 is the largest number so far."""
PIECES = Quantity(1, 256)
DISPLAYS = Quantity(0, 64, "displays")
MEMORY_GB = Quantity(1, 2**16, "GB")
MEMORY_MB = Quantity(0, 2**26, "MiB")
"""64 TiB, as much as the largest server has."""
INSTALLED_MB = Quantity(1, 2**26, "MiB")
GPU_MB = Quantity(1, 2**24, "MiB")
MEMORY_KIB = Quantity(0, 2**36, "KiB")
MEMORY_BYTES = Quantity(0, 2**46, "bytes")
MODULE_GIB = Quantity(2**-20, 2**14, "GiB")
PERCENT = Quantity(0, 100, "%")
SHARE = Quantity(0, 1)
CELSIUS = Quantity(-40, 150, "C")
"""Outside these bounds a sensor is broken or not connected."""
WATTS = Quantity(0, 100_000, "W")
JOULES = Quantity(0, 1e13, "J")
"""A counter of 100 kW over three years."""
MILLIJOULES = Quantity(0, 1e16, "mJ")
MHZ = Quantity(0, 20_000, "MHz")
RPM = Quantity(0, 100_000, "rpm")
GB_PER_S = Quantity(0.1, 200_000, "GB/s")
MT_PER_S = Quantity(1, 200_000, "MT/s")
WIDTH_BITS = Quantity(1, 2**14, "bits")
LOAD = Quantity(0, 1e6)
SECONDS = Quantity(0, 1e10, "s")
UNIX_S = Quantity(0, 7_258_118_400, "s since 1970")
"""Until 2200; a board without a clock of its own begins at 1970."""
NANOSECONDS = Quantity(0, 1e18, "ns")
TOKENS = Quantity(1, 2**40, "tokens")
LEVEL = Quantity(0, 100)
BITS = Quantity(0, 2**53, "as bits")
METAL = Quantity(1, 100, "as a version of Metal")
PROCESS_ID = Quantity(0, 2**31, "as a process id")


def _each(names: str, quantity: Quantity) -> dict[str, Quantity]:
    return dict.fromkeys(names.split(), quantity)


FACTS: Mapping[str, Quantity] = {
    **_each(
        "cpu_cores cpu_threads cpu_super_cores cpu_performance_cores cpu_efficiency_cores", CPUS
    ),
    "container_cpu_limit": Quantity(1e-3, 2**16, "CPUs"),
    "container_memory_limit_mb": INSTALLED_MB,
    "memory_gb": MEMORY_GB,
    "memory_total_mb": INSTALLED_MB,
    **_each("memory_available_mb swap_used_mb", MEMORY_MB),
    "memory_speed_mt_s": MT_PER_S,
    "memory_bandwidth_gb_s": GB_PER_S,
    "gpu_count": PIECES,
    "gpu_cores": APPLE_GPU_CORES,
    **_each("gpu_memory_mb gpu_usable_mb gpu_limit_mb gpu_limit_expected_mb", GPU_MB),
    "engine_gpu_limit_mb": GPU_MB,
    "wired_limit_mb": Quantity(0, GPU_MB.most, "MiB"),
    "gpu_memory_gb": Quantity(2**-10, 2**14, "GiB"),
    **_each("gpu_vram_mb gpu_gtt_mb gpu_memory_in_use_mb foreign_gpu_memory_mb", MEMORY_MB),
    "wanted_model_mb": MEMORY_MB,
    "gpu_power_limit_w": WATTS,
    **_each("cpu_temperature_c gpu_temperature_c", CELSIUS),
    **_each("foreign_cpu_percent foreign_gpu_percent", PERCENT),
    "metal_version": METAL,
    "draft_acceptance": SHARE,
    "load_1m": LOAD,
    "uptime_s": SECONDS,
    "boot_unix_s": UNIX_S,
}
"""Facts that are numbers. All other facts are words or yes and no."""

WORDS = frozenset(
    "architecture battery_present chip container container_kind cpu_core_kinds cpu_governor"
    " cuda_version display_attached engine engine_environment engine_version"
    " foreign_gpu_programs gpu gpu_compute_capability gpu_device gpu_driver gpu_ecc"
    " gpu_limit_conflict gpu_mig gpu_mig_parts gpu_pcie gpu_slowed gpu_unified_memory gpu_users"
    " gpu_vbios hypervisor integrated_gpu kernel low_power_mode memory_modules memory_pressure"
    " memory_type mlx_device mlx_library mlx_version model ollama_run_as os os_build"
    " os_version power_mode power_modes_present power_source resident_models rocm_version"
    " rosetta thermal_class virtual".split()
)
"""Facts that are not numbers."""

SCOPES = "gpu_board chip_package cpu_package system wall cpu gpu ane ram".split()

READINGS: Mapping[str, Quantity] = {
    **{f"{scope}_power_w": WATTS for scope in SCOPES},
    **{f"{scope}_energy_joules": JOULES for scope in SCOPES},
    **_each("cpu_busy_percent gpu_busy_percent", PERCENT),
    **_each("cpu_temperature_c gpu_temperature_c", CELSIUS),
    **_each("cpu_clock_mhz gpu_clock_mhz", MHZ),
    "gpu_clock_event_bits": BITS,
    **_each("memory_used_mb memory_available_mb swap_used_mb", MEMORY_MB),
    **_each("gpu_memory_used_mb gpu_shared_memory_used_mb", MEMORY_MB),
    "memory_pressure_level": LEVEL,
    "cpu_load_1m": LOAD,
    **_each("fan_rpm gpu_fan_rpm", RPM),
    "gpu_fan_percent": PERCENT,
    **_each("sampler_cpu_s idle_window_s", SECONDS),
}
"""Readings over time, by their metric."""

FIELDS: Mapping[str, Quantity] = {
    **_each("cores threads threads_per_core physical_cores logical_cores cpu_cores", CPUS),
    "gpu_cores": APPLE_GPU_CORES,
    "displays": DISPLAYS,
    "memory_gb": MEMORY_GB,
    **_each("memory_mb limit_mb mig_parts_mb", GPU_MB),
    **_each("vram_mb gtt_mb used_mb vram_used_mb gtt_used_mb total_mb available_mb", MEMORY_MB),
    **_each("total_kib available_kib swap_total_kib swap_free_kib", MEMORY_KIB),
    **_each("ram_total_bytes ram_used_bytes swap_used_bytes", MEMORY_BYTES),
    "size_gib": MODULE_GIB,
    "width_bits": WIDTH_BITS,
    "speed_mt_s": MT_PER_S,
    **_each("busy_percent cpu_speed_limit_percent cpu_busy_percent gpu_busy_percent", PERCENT),
    "gpu_scaled_percent": PERCENT,
    **_each("celsius cpu_celsius gpu_celsius", CELSIUS),
    **_each("power_w power_limit_w cpu_watts gpu_watts ane_watts ram_watts gpu_ram_watts", WATTS),
    **_each("soc_watts system_watts combined_watts", WATTS),
    **_each("cpu_millijoules gpu_millijoules ane_millijoules", MILLIJOULES),
    **_each("mhz gpu_mhz", MHZ),
    "fans_rpm": RPM,
    **dict.fromkeys(
        ("Device Utilization %", "Renderer Utilization %", "Tiler Utilization %"), PERCENT
    ),
    **dict.fromkeys(
        ("In use system memory", "In use system memory (driver)", "Alloc system memory"),
        MEMORY_BYTES,
    ),
    "metal_version": METAL,
    "draft_acceptance": SHARE,
    "default_num_ctx": TOKENS,
    "unix_s": UNIX_S,
    "elapsed_ns": NANOSECONDS,
    **_each("pid parent", PROCESS_ID),
    **_each("ticks total busy", COUNT),
}
"""Numbers that parsers return, by the name of their field."""

WHOLES: Mapping[str, str] = {
    "cores": "threads",
    "physical_cores": "logical_cores",
    "available_kib": "total_kib",
    "swap_free_kib": "swap_total_kib",
    "available_mb": "total_mb",
    "used_mb": "memory_mb",
    "vram_used_mb": "vram_mb",
    "ram_used_bytes": "ram_total_bytes",
    "busy": "total",
}
"""A part, and the whole that it cannot be larger than."""


def fact_problem(name: str, value: object) -> str:
    """Return why this value of a fact is impossible; empty: it is possible, or a word."""
    if quantity := FACTS.get(name):
        return quantity.problem(value)
    return _not_finite(value)


def reading_problem(metric: str, value: float) -> str:
    """Return why this reading is impossible; an unknown metric need only be finite."""
    if quantity := READINGS.get(metric):
        return quantity.problem(value)
    return _not_finite(value)


def shown(value: float) -> str:
    """Return the number itself if it is short, else its size."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"about {'-' if value < 0 else ''}2^{value.bit_length()}"
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _not_finite(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"not a number: {value}"
    return ""
