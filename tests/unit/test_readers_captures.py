"""Recorded outputs of real machines: every file, through its parser, against values stated here."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fleet.readers import amd, dmi, metal, nvidia_smi, ollama_log
from fleet.readers.ioreg import parse_accelerators
from fleet.readers.lscpu import parse_lscpu
from fleet.readers.pmset import (
    coarse_class,
    parse_custom,
    parse_power_source,
    parse_therm,
    power_mode,
)
from fleet.readers.proc import parse_cpuinfo, parse_meminfo
from fleet.readers.sw_vers import parse_sw_vers
from fleet.readers.sysctl import (
    parse_boot_unix_s,
    parse_swap_used_mb,
    parse_sysctl,
    perf_levels,
)
from fleet.readers.system_profiler import parse_system_profiler
from fleet.readers.vm_stat import parse_vm_stat
from tests.unit.test_readers import macmon_samples, power_samples

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason=f"no recorded outputs: {CAPTURES} is absent"
)

Facts = dict[str, Any]
COLUMN = 96


def one(thing: Any) -> Facts:
    return asdict(thing)


def each(things: Sequence[Any]) -> Facts:
    """`count`, and the fields of the first thing plain, of later ones with their number."""
    found: Facts = {"count": len(things)}
    for at, thing in enumerate(things):
        fields = asdict(thing)
        found |= fields if at == 0 else {f"{at}.{name}": v for name, v in fields.items()}
    return found


def sysctl(text: str) -> Facts:
    values = parse_sysctl(text)
    levels = [(level.name, level.physical_cores) for level in perf_levels(values)]
    return {**values, "levels": levels}


def section(text: str, command: str) -> str:
    """What one command printed, in a file of `$ command` sections."""
    _, _, after = text.partition(f"$ {command}")
    return after.partition("\n")[2].partition("\n$ ")[0]


def mac_sections(text: str) -> Facts:
    versions = parse_sw_vers(section(text, "sw_vers"))
    memory = parse_vm_stat(section(text, "vm_stat"))
    return {
        "source": parse_power_source(section(text, "pmset -g batt")),
        "warning": parse_therm(section(text, "pmset -g therm")).warning_recorded,
        "swap_mb": parse_swap_used_mb(section(text, "sysctl vm.swapusage")),
        "boot": parse_boot_unix_s(section(text, "sysctl -n kern.boottime")),
        "os": versions.get("ProductVersion"),
        "build": versions.get("BuildVersion"),
        "free_bytes": memory.get("Pages free"),
    }


def heat_level(text: str) -> str | None:
    return coarse_class(parse_therm(text))


def custom(text: str) -> Facts:
    sources = parse_custom(text)
    return {name: power_mode(sources, name) for name in sources}


def accelerators(text: str) -> Facts:
    found = each(parse_accelerators(text))
    return {**found, **found.pop("statistics", {})}


def query(text: str) -> Facts:
    return each(nvidia_smi.parse_query(text))


def dimms(text: str) -> Facts:
    devices = dmi.parse_memory_devices(text)
    return {**each(devices), "peak": dmi.peak_gb_s(devices)}


READERS: dict[str, Callable[[str], Facts]] = {
    r"amd-smi.*": lambda text: each(amd.parse_amd_smi(text)),
    r"dmidecode.*": dimms,
    r"env_.*|sysctl.*": sysctl,
    r"ggml-metal.*": lambda text: one(metal.parse_llama_cpp(text)),
    r"ioreg.*": accelerators,
    r"lscpu.*": lambda text: {**one(cpu := parse_lscpu(text)), "cores": cpu.cores},
    r"macmon.*": lambda text: each(macmon_samples(text)),
    r"mlx.*": lambda text: one(metal.parse_mlx(text)),
    r"nvidia-smi-x.*": lambda text: each(nvidia_smi.parse_xml(text)),
    r"nvidia-smi.*\.csv": query,
    r"nvidia-smi_GB10.*": lambda text: each(nvidia_smi.parse_table(text)),
    r"nvidia-smi_help.*": lambda text: {
        "fields": len(names := nvidia_smi.parse_fields(text)),
        "every field asked": names.issuperset(nvidia_smi.QUERY),
    },
    r"ollama-serve-log.*": lambda text: {
        **one(log := ollama_log.parse_serve_log(text)),
        "gpus": [(d.library, d.name, round(d.total_mb or 0)) for d in log.devices],
    },
    r"pmset-and-friends.*": mac_sections,
    r"pmset-g-custom.*": custom,
    r"pmset-g-therm.*": lambda text: {**one(parse_therm(text)), "level": heat_level(text)},
    r"powermetrics.*": lambda text: each(power_samples(text)),
    r"proc-cpuinfo.*": lambda text: one(parse_cpuinfo(text)),
    r"proc-meminfo.*": lambda text: one(parse_meminfo(text)),
    r"rocm-smi.*": lambda text: each(amd.parse_rocm_smi(text)),
    r"system_profiler.*": lambda text: one(parse_system_profiler(text)),
}

NAVI = "Navi 22 [Radeon RX 6700/6700 XT / 6800M]"
MI100 = "Arcturus GL-XL [Instinct MI100]"
NAVI_FACTS: Facts = {
    "count": 1,
    "device": "73df",
    "driver": "6.3.6",
    "vram_mb": 12272,
    "gtt_mb": 16014,
    "power_limit_w": 211,
    "celsius": 45,
    "busy_percent": 0,
    "pcie": "PCIe 4 x16",
}
POWER_FACTS: Facts = {
    "model": "Mac15,9",
    "os_build": "25G83",
    "elapsed_ns": 259901333,
    "unix_s": 1789890603,
    "thermal_class": "nominal",
    "cpu_watts": 10.8066,
    "cpu_millijoules": 1907,
    "gpu_watts": 0,
    "gpu_mhz": 0,
    "gpu_busy_percent": 0,
}
MACMON_FACTS: Facts = {
    "count": 1,
    "cpu_watts": 0.20486385,
    "gpu_watts": 0.017451683,
    "ane_watts": 0,
    "ram_watts": 0.11635789,
    "soc_watts": 0.22231553,
    "system_watts": 5.876533,
    "gpu_mhz": 461,
    "gpu_scaled_percent": 2.1497859,
    "ram_total_bytes": 24 * 2**30,
    "swap_used_bytes": 2602434560,
}


def nvidia(name: str, memory_mb: int, driver: str, cuda: str, watts: float, **more: Any) -> Facts:
    told = {"count": 1, "name": name, "memory_mb": memory_mb, "driver": driver, "cuda": cuda}
    return {**told, "power_limit_w": watts, "pcie": "PCIe 4 x16", "slowed": False, **more}


def metal_device(name: str, limit_mb: int, **more: int | None) -> Facts:
    return {"name": f"Apple {name}", "limit_mb": limit_mb, **more}


EXPECTED: dict[str, Facts] = {
    "amd-smi-static_bare-list_rocm6.json": {
        "count": 2,
        "name": "AMD Instinct MI300X",
        "vram_mb": 196608,
        "driver": "6.10.5",
        "1.name": "AMD Radeon PRO W7800",
        "1.vram_mb": 32768,
    },
    "dmidecode-t17_ddr5-2ch_P16v.txt": {
        "count": 2,
        "size_gib": 32,
        "kind": "DDR5",
        "width_bits": 64,
        "speed_mt_s": 5600,
        "locator": "P0 CHANNEL A",
        "1.locator": "P0 CHANNEL B",
        "peak": 89.6,
    },
    "dmidecode-t17_lpddr5_4x32bit.txt": {
        "count": 4,
        "size_gib": 8,
        "kind": "LPDDR5",
        "width_bits": 32,
        "peak": 102.4,
    },
    "dmidecode_vmware-fedora32.txt": {
        "count": 1,
        "size_gib": 4,
        "speed_mt_s": None,
        "peak": None,
    },
    "env_M2Max_64GB_macos15.5.txt": {
        "hw.memsize": str(64 * 2**30),
        "iogpu.wired_limit_mb": "0",
        "levels": [(None, 8), (None, 4)],
    },
    "ggml-metal-devices_M3Max_36GB.txt": metal_device("M3 Max", 28753, metal_version=None),
    "ggml-metal-devices_M4Max_128GB.txt": metal_device("M4 Max", 110100, metal_version=4),
    "ggml-metal-init_M4_16GB.txt": metal_device("M4", 12124, metal_version=4),
    "ggml-metal-init_M4_16GB_macos15.txt": metal_device("M4", 10922, metal_version=3),
    "ioreg_AGXAccelerator_M3Pro.txt": {
        "model": "Apple M3 Pro",
        "gpu_cores": 14,
        "Device Utilization %": 42,
        "In use system memory": 3221225472,
        "In use system memory (driver)": 0,
    },
    "ioreg_AGXAccelerator_M4.txt": {
        "model": "Apple M4",
        "gpu_cores": 10,
        "Device Utilization %": 30,
        "In use system memory": 356089856,
        "In use system memory (driver)": 0,
    },
    "lscpu-J_h100-vm_flat.json": {
        "model_names": ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",),
        "threads": 26,
        "cores": 13,
        "hypervisor": "KVM",
    },
    "lscpu_aarch64.txt": {
        "architecture": "aarch64",
        "model_names": (),
        "threads": 96,
        "cores": 96,
        "hypervisor": None,
    },
    "lscpu_ryzen7-2700x_ubuntu22.04.txt": {
        "model_names": ("AMD Ryzen 7 2700X Eight-Core Processor",),
        "threads": 16,
        "cores": 8,
        "hypervisor": None,
    },
    "lscpu_ryzen9-7940HS.txt": {
        "model_names": ("AMD Ryzen 9 PRO 7940HS w/ Radeon 780M Graphics",),
        "threads": 16,
        "cores": 8,
        "hypervisor": None,
    },
    "macmon-pipe_M3Pro_v0.8.jsonl": {
        **MACMON_FACTS,
        "gpu_busy_percent": 9,
        "cpu_busy_percent": 9.2,
        "gpu_celsius": 36.95167,
        "fans_rpm": (999, 1200),
    },
    "macmon-pipe_v0.7-fields.jsonl": {**MACMON_FACTS, "gpu_busy_percent": None, "fans_rpm": ()},
    "mlx-device_info_A18Pro_8GB.json": metal_device("A18 Pro", 5461, memory_mb=8192),
    "mlx-device_info_M3Ultra_256GB.txt": metal_device("M3 Ultra", 212992, memory_mb=262144),
    "mlx-device_info_M4Pro_48GB.txt": metal_device("M4 Pro", 38338, memory_mb=49152),
    "mlx-device_info_M5Max_128GB_default.json": metal_device("M5 Max", 110100, memory_mb=131072),
    "mlx-device_info_M5Max_64GB_raised.txt": metal_device("M5 Max", 57344, memory_mb=65536),
    "nvidia-smi-query_h100-vm.csv": {
        "count": 1,
        "name": "NVIDIA H100 80GB HBM3",
        "memory_mb": 81559,
        "compute_capability": "9.0",
        "power_limit_w": 700,
        "vbios": "96.00.DB.00.02",
    },
    "nvidia-smi-x_a100-sxm4-v12.xml": nvidia(
        *("NVIDIA A100-SXM4-80GB", 81920, "535.54.03", "12.2", 500),
        ecc=True,
        mig=True,
        mig_parts_mb=(19968,) * 4,
        display=False,
        celsius=27,
        users=(),
    ),
    "nvidia-smi-x_a10g.xml": nvidia(
        *("NVIDIA A10G", 23028, "515.105.01", "11.7", 300), ecc=True, mig=None, display=False
    ),
    "nvidia-smi-x_rtx-3060-v12.xml": nvidia(
        *("NVIDIA GeForce RTX 3060", 12288, "570.124.04", "12.8", 170), device="248710DE 36583842"
    ),
    "nvidia-smi-x_rtx-3080-v12.xml": nvidia(
        *("NVIDIA GeForce RTX 3080", 10240, "536.40", "12.2", 336), display=True, busy_percent=0
    ),
    "nvidia-smi-x_rtx-3080-v13.xml": nvidia(
        *("NVIDIA GeForce RTX 3080", 10240, "595.58.03", "13.2", 320), display=True, busy_percent=65
    ),
    "nvidia-smi-x_rtx-3090-v12.xml": nvidia(
        *("NVIDIA GeForce RTX 3090", 24576, "525.147.05", "12.0", 200), device=None, ecc=None
    ),
    "nvidia-smi-x_rtx-4000-sff-ada-v13.xml": nvidia(
        *("NVIDIA RTX 4000 SFF Ada Generation", 20475, "595.84", "13.2", 70),
        ecc=False,
        display=True,
        users=("python", "/usr/lib/chromium/chromium"),
    ),
    "nvidia-smi-x_rtx-pro-6000-driver-580.xml": {
        "count": 1,
        "name": "NVIDIA RTX PRO 6000 Blackwell",
        "celsius": 37,
        "memory_mb": None,
        "power_limit_w": None,
        "pcie": None,
        "users": None,
    },
    "nvidia-smi-x_tesla-t4.xml": nvidia(
        *("Tesla T4", 15360, "515.105.01", "11.7", 70),
        ecc=True,
        pcie="PCIe 3 x16",
        users=("python",),
    ),
    "nvidia-smi_GB10_dgx-spark.txt": {
        "count": 1,
        "name": "NVIDIA GB10",
        "memory_mb": None,
        "power_limit_w": None,
        "driver": "580.95.05",
        "celsius": 35,
        "cuda": "13.0",
        "display": False,
        "busy_percent": 0,
    },
    "nvidia-smi_help-query-gpu.txt": {"fields": 137, "every field asked": True},
    "nvidia-smi_tesla-p100.csv": {"count": 1, "name": "Tesla P100-PCIE-16GB", "memory_mb": None},
    "ollama-serve-log_metal-lines.txt": {
        "gpus": [
            ("metal", None, 21811),
            ("metal", "Apple M4", 10957),
            ("metal", "Apple M4", 25600),
            ("metal", "Apple M4 Pro", 38298),
            ("metal", "Apple M1 Max", 53043),
            ("metal", "Apple M5", 25600),
        ],
        "default_num_ctx": 32768,
    },
    "pmset-and-friends_M3Max.txt": {
        "source": "AC Power",
        "warning": False,
        "swap_mb": 128,
        "boot": 1700000000,
        "os": "15.5",
        "build": "24F74",
        "free_bytes": 4096000,
    },
    "pmset-g-custom_powermode.txt": {"Battery Power": "low", "AC Power": "auto"},
    "pmset-g-therm_with-limits.txt": {
        "warning_recorded": False,
        "cpu_speed_limit_percent": 100,
        "level": "nominal",
    },
    "powermetrics_M3Max_cpu-gpu-thermal_composite.plist": {"count": 1, **POWER_FACTS},
    "powermetrics_M3Max_two-samples.pliststream": {
        "count": 2,
        **POWER_FACTS,
        "1.elapsed_ns": 176465000,
        "1.unix_s": 1789890604,
        "1.cpu_millijoules": 1907,
    },
    "powermetrics_M4Max_thermal.plist": {
        "count": 1,
        "model": "Mac16,6",
        "thermal_class": "nominal",
        "cpu_watts": None,
    },
    "proc-cpuinfo_aarch64.txt": {
        # the last 6 of its 96
        "model_name": None,
        "threads": 6,
        "cores": None,
        "hypervisor": None,
        "part": "0x43 0x0a1",
    },
    "proc-cpuinfo_i5-7360U-vm.txt": {
        "model_name": "Intel(R) Core(TM) i5-7360U CPU @ 2.30GHz",
        "threads": 1,
        "cores": 1,
        "hypervisor": True,
    },
    "proc-cpuinfo_jc-cpuinfo2.txt": {
        "model_name": "Intel(R) Core(TM) i5-8279U CPU @ 2.40GHz",
        "threads": 2,
        "cores": 2,
        "hypervisor": True,
    },
    "proc-cpuinfo_ryzen7-2700x_ubuntu22.04.txt": {
        "model_name": "AMD Ryzen 7 2700X Eight-Core Processor",
        "threads": 16,
        "cores": 8,
        "hypervisor": False,
    },
    "proc-meminfo_jc.txt": {
        "total_kib": 3997272,
        "available_kib": 3386876,
        "swap_total_kib": 3996668,
        "swap_free_kib": 3996668,
    },
    "rocm-smi_mi100_rocm571.json": {
        "count": 6,
        "name": MI100,
        "vram_mb": 32752,
        "gtt_mb": 128792,
        "power_w": 39,
        "driver": "6.2.4",
        "power_limit_w": 290,
        "5.name": MI100,
        "pcie": "PCIe 3 x16",
    },
    "rocm-smi_mi100_rocm602.json": {
        "count": 4,
        "name": MI100,
        "vram_mb": 32752,
        "gtt_mb": 128878,
        "power_w": 36,
        "pcie": "PCIe 4 x16",
        "3.vram_mb": 32752,
    },
    # its series is the bare number of the maker
    "rocm-smi_rx6700xt_rocm430.json": {**NAVI_FACTS, "name": None, "power_w": 6},
    "rocm-smi_rx6700xt_rocm571.json": {**NAVI_FACTS, "name": NAVI, "power_w": 6},
    # "N/A (Secondary die)"
    "rocm-smi_rx6700xt_rocm602.json": {**NAVI_FACTS, "name": NAVI, "power_w": None},
    "rocm-smi_rx6700xt_rocm612.json": {**NAVI_FACTS, "name": NAVI, "power_w": 6},
    "rocm-smi_vega-10-XT.json": {
        "count": 1,
        "name": None,
        "device": "6861",
        "vram_mb": 16368,
        "power_w": 15,
        "power_limit_w": 170,
        "celsius": 39,
        "pcie": "PCIe 3 x16",
    },
    "rocm-smi_vega-20-WKS-GL-XE.json": {
        "count": 1,
        "name": "Radeon Instinct MI50 32GB",
        "device": "66a1",
        "vram_mb": 32752,
        "gtt_mb": 52428,
        "power_w": 26,
        "pcie": "PCIe 4 x16",
        "driver": "5.9.17",
    },
    "sysctl_M1Pro_cpu-and-cache.txt": {
        "levels": [(None, 8), (None, 2)],
        "hw.perflevel0.l2cachesize": "12582912",
        "machdep.cpu.brand_string": "Apple M1 Pro",
    },
    "sysctl_M2Max_64GB_macos26.6.2.txt": {
        "machdep.cpu.brand_string": "Apple M2 Max",
        "hw.memsize": str(64 * 2**30),
        "hw.model": "Mac14,6",
        "kern.osproductversion": "26.6.2",
        "kern.osversion": "25G83",
        "levels": [(None, 8), (None, 4)],
    },
    "sysctl_M3Pro_perflevels.txt": {
        "levels": [("Performance", 5), ("Efficiency", 6)],
        "hw.pagesize": "16384",
    },
    "sysctl_intel-i5-2557M_macos10.12.txt": {
        "machdep.cpu.brand_string": "Intel(R) Core(TM) i5-2557M CPU @ 1.70GHz",
        "levels": [],
    },
    "sysctl_iogpu_48GB-machine.txt": {"iogpu.wired_limit_mb": "36864", "iogpu.dynamic_lwm": "1"},
    "sysctl_iogpu_tuned_64GB.txt": {"iogpu.wired_limit_mb": "57344", "iogpu.dynamic_lwm": "0"},
    "system_profiler-SPDisplays_M1Pro_two-externals.json": {
        "gpu": "Apple M1 Pro",
        "gpu_cores": 14,
        "displays": 3,
        "metal_version": None,
    },
    "system_profiler-SPDisplays_M2Max.json": {
        "gpu": "Apple M2 Max",
        "gpu_cores": 30,
        "displays": 1,
        "metal_version": 4,
    },
    "system_profiler-SPDisplays_M3Pro.json": {
        "gpu": "Apple M3 Pro",
        "gpu_cores": 14,
        "displays": None,
        "metal_version": 3,
    },
    "system_profiler-SPDisplays_M4_macmini.json": {"gpu": "Apple M4", "gpu_cores": 10},
    "system_profiler-SPHardware_M1_MacBookAir10,1.json": {
        "chip": "Apple M1",
        "model": "MacBookAir10,1",
        "memory_gb": 16,
        "cpu_cores": 8,
    },
    "system_profiler-SPHardware_M2_Mac14,7.json": {
        "chip": "Apple M2",
        "model": "Mac14,7",
        "memory_gb": 16,
        "cpu_cores": 8,
    },
    "system_profiler-SPHardware_M4Max-virtual-machine.json": {
        "chip": "Apple M4 Max (Virtual)",
        "model": "VirtualMac2,1",
        "memory_gb": 4,
        "cpu_cores": 2,
    },
    "system_profiler-SPHardware_M4Max_Mac16,5.json": {
        "chip": "Apple M4 Max",
        "model": "Mac16,5",
        "memory_gb": 48,
        "cpu_cores": 16,
    },
    "system_profiler-SPHardware_M4_Mac16,12.json": {
        "chip": "Apple M4",
        "model": "Mac16,12",
        "memory_gb": 16,
        "cpu_cores": 10,
    },
    "system_profiler-mini_M2Pro_Mac14,10-newer-macos.json": {
        "chip": "Apple M2 Pro",
        "model": "Mac14,10",
        "memory_gb": 16,
        "cpu_cores": 12,
        "gpu": "Apple M2 Pro",
        "gpu_cores": 19,
    },
}


def index() -> list[str]:
    with (CAPTURES / "index.csv").open() as file:
        return [row["file"] for row in csv.DictReader(file)]


def parsed(name: str) -> Facts:
    [read] = [read for pattern, read in READERS.items() if re.fullmatch(pattern, name)]
    return read((CAPTURES / name).read_text())


def test_every_recorded_output_has_its_values_stated() -> None:
    there = {path.name for path in CAPTURES.iterdir()} - {"index.csv"}
    assert set(index()) == there == set(EXPECTED)


def agrees(found: object, value: object) -> bool:
    return found == (pytest.approx(value) if isinstance(value, float) else value)


def told(facts: Mapping[str, Any]) -> str:
    text = "  ".join(f"{name}={value}" for name, value in facts.items())
    return text if len(text) <= COLUMN else f"{text[: COLUMN - 3]}..."


def test_every_recorded_output_is_parsed_right(capsys: pytest.CaptureFixture[str]) -> None:
    wrong, lines = {}, []
    for name, expected in EXPECTED.items():
        facts = parsed(name)
        found = {key: facts.get(key, "absent") for key in expected}
        same = all(agrees(found[key], value) for key, value in expected.items())
        wrong |= {} if same else {name: (found, expected)}
        lines.append(f"  {'ok   ' if same else 'WRONG'} {name:<54.54} {told(found)}")
    with capsys.disabled():
        print("\n", *lines, sep="\n")
        print(f"  {len(EXPECTED)} files, {sum(map(len, EXPECTED.values()))} values stated here")
    assert wrong == {}
