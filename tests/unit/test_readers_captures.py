"""Parsers on recorded outputs of real machines, which lie beside the checkout where present."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.readers.ioreg import parse_accelerators
from fleet.readers.lscpu import parse_lscpu
from fleet.readers.nvidia_smi import parse_query, parse_xml
from fleet.readers.pmset import parse_custom, parse_power_source, parse_therm, power_mode
from fleet.readers.proc import parse_cpuinfo, parse_meminfo
from fleet.readers.sw_vers import parse_sw_vers
from fleet.readers.sysctl import (
    parse_boot_unix_s,
    parse_swap_used_mb,
    parse_sysctl,
    perf_levels,
)
from fleet.readers.system_profiler import parse_system_profiler

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
pytestmark = pytest.mark.skipif(
    not CAPTURES.is_dir(), reason=f"no recorded outputs: {CAPTURES} is absent"
)


def capture(name: str) -> str:
    return (CAPTURES / name).read_text()


def section(name: str, command: str) -> str:
    """What one command printed, in a file of `$ command` sections."""
    _, _, after = capture(name).partition(f"$ {command}")
    return after.partition("\n")[2].partition("\n$ ")[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "sysctl_M2Max_64GB_macos26.6.2.txt",
            {
                "machdep.cpu.brand_string": "Apple M2 Max",
                "hw.memsize": "68719476736",
                "hw.model": "Mac14,6",
                "kern.osproductversion": "26.6.2",
                "kern.osversion": "25G83",
            },
        ),
        ("sysctl_M1Pro_cpu-and-cache.txt", {"hw.perflevel0.l2cachesize": "12582912"}),
        (
            "sysctl_intel-i5-2557M_macos10.12.txt",
            {"machdep.cpu.brand_string": "Intel(R) Core(TM) i5-2557M CPU @ 1.70GHz"},
        ),
        ("sysctl_iogpu_48GB-machine.txt", {"iogpu.wired_limit_mb": "36864"}),
        ("sysctl_iogpu_tuned_64GB.txt", {"iogpu.wired_limit_mb": "57344"}),
        ("env_M2Max_64GB_macos15.5.txt", {"iogpu.wired_limit_mb": "0"}),
    ],
)
def test_sysctl(name: str, expected: dict[str, str]) -> None:
    values = parse_sysctl(capture(name))
    assert {key: values.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("sysctl_M3Pro_perflevels.txt", [("Performance", 5), ("Efficiency", 6)]),
        ("sysctl_M1Pro_cpu-and-cache.txt", [(None, 8), (None, 2)]),
        ("sysctl_intel-i5-2557M_macos10.12.txt", []),
    ],
)
def test_perf_levels(name: str, levels: list[tuple[str | None, int]]) -> None:
    found = perf_levels(parse_sysctl(capture(name)))
    assert [(level.name, level.physical_cores) for level in found] == levels


@pytest.mark.parametrize(
    ("name", "model", "cores", "busy_percent", "in_use_bytes"),
    [
        ("ioreg_AGXAccelerator_M3Pro.txt", "Apple M3 Pro", 14, 42, 3221225472),
        ("ioreg_AGXAccelerator_M4.txt", "Apple M4", 10, 30, 356089856),
    ],
)
def test_ioreg(name: str, model: str, cores: int, busy_percent: int, in_use_bytes: int) -> None:
    [gpu] = parse_accelerators(capture(name))
    assert (gpu.model, gpu.gpu_cores) == (model, cores)
    assert gpu.statistics["Device Utilization %"] == busy_percent
    assert gpu.statistics["In use system memory"] == in_use_bytes


def test_pmset_and_friends() -> None:
    name = "pmset-and-friends_M3Max.txt"
    assert parse_power_source(section(name, "pmset -g batt")) == "AC Power"
    assert parse_therm(section(name, "pmset -g therm")).warning_recorded is False
    assert parse_swap_used_mb(section(name, "sysctl vm.swapusage")) == 128.0
    assert parse_boot_unix_s(section(name, "sysctl -n kern.boottime")) == 1700000000
    versions = parse_sw_vers(section(name, "sw_vers"))
    assert (versions["ProductVersion"], versions["BuildVersion"]) == ("15.5", "24F74")


def test_pmset_custom_and_limits() -> None:
    sources = parse_custom(capture("pmset-g-custom_powermode.txt"))
    assert power_mode(sources, "Battery Power") == "low"
    assert power_mode(sources, "AC Power") == "auto"
    assert parse_therm(capture("pmset-g-therm_with-limits.txt")).cpu_speed_limit_percent == 100


@pytest.mark.parametrize(
    ("name", "chip", "model", "memory_gb", "gpu_cores"),
    [
        ("SPHardware_M1_MacBookAir10,1", "Apple M1", "MacBookAir10,1", 16, None),
        ("SPHardware_M2_Mac14,7", "Apple M2", "Mac14,7", 16, None),
        ("SPHardware_M4_Mac16,12", "Apple M4", "Mac16,12", 16, None),
        ("SPHardware_M4Max_Mac16,5", "Apple M4 Max", "Mac16,5", 48, None),
        ("SPHardware_M4Max-virtual-machine", "Apple M4 Max (Virtual)", "VirtualMac2,1", 4, None),
        ("SPDisplays_M1Pro_two-externals", None, None, None, 14),
        ("SPDisplays_M2Max", None, None, None, 30),
        ("SPDisplays_M3Pro", None, None, None, 14),
        ("SPDisplays_M4_macmini", None, None, None, 10),
        ("mini_M2Pro_Mac14,10-newer-macos", "Apple M2 Pro", "Mac14,10", 16, 19),
    ],
)
def test_system_profiler(
    name: str, chip: str | None, model: str | None, memory_gb: int | None, gpu_cores: int | None
) -> None:
    profile = parse_system_profiler(capture(f"system_profiler-{name}.json"))
    assert (profile.chip, profile.model) == (chip, model)
    assert (profile.memory_gb, profile.gpu_cores) == (memory_gb, gpu_cores)


@pytest.mark.parametrize(
    ("name", "gpu", "memory_mb", "driver", "cuda", "limit_w"),
    [
        ("a100-sxm4-v12", "NVIDIA A100-SXM4-80GB", 81920, "535.54.03", "12.2", 500.0),
        ("a10g", "NVIDIA A10G", 23028, "515.105.01", "11.7", 300.0),
        ("rtx-3060-v12", "NVIDIA GeForce RTX 3060", 12288, "570.124.04", "12.8", 170.0),
        ("rtx-3080-v12", "NVIDIA GeForce RTX 3080", 10240, "536.40", "12.2", 336.0),
        ("rtx-3080-v13", "NVIDIA GeForce RTX 3080", 10240, "595.58.03", "13.2", 320.0),
        ("rtx-3090-v12", "NVIDIA GeForce RTX 3090", 24576, "525.147.05", "12.0", 200.0),
        ("rtx-4000-sff-ada-v13", "NVIDIA RTX 4000 SFF Ada Generation", 20475, "595.84", "13.2", 70),
        ("rtx-pro-6000-driver-580", "NVIDIA RTX PRO 6000 Blackwell", None, None, None, None),
        ("tesla-t4", "Tesla T4", 15360, "515.105.01", "11.7", 70.0),
    ],
)
def test_nvidia_xml(
    name: str,
    gpu: str,
    memory_mb: int | None,
    driver: str | None,
    cuda: str | None,
    limit_w: float | None,
) -> None:
    [found] = parse_xml(capture(f"nvidia-smi-x_{name}.xml"))
    assert (found.name, found.memory_mb) == (gpu, memory_mb)
    assert (found.driver, found.cuda, found.power_limit_w) == (driver, cuda, limit_w)


def test_nvidia_xml_tells_a_gpu_cut_into_parts() -> None:
    [whole_gpu] = parse_xml(capture("nvidia-smi-x_rtx-3090-v12.xml"))
    [cut_gpu] = parse_xml(capture("nvidia-smi-x_a100-sxm4-v12.xml"))
    assert (whole_gpu.mig, cut_gpu.mig) == (None, True)


def test_nvidia_query() -> None:
    [h100] = parse_query(capture("nvidia-smi-query_h100-vm.csv"))
    assert (h100.name, h100.memory_mb) == ("NVIDIA H100 80GB HBM3", 81559)
    assert (h100.compute_capability, h100.power_limit_w) == ("9.0", 700.0)
    assert h100.vbios == "96.00.DB.00.02"
    [p100] = parse_query(capture("nvidia-smi_tesla-p100.csv"))
    assert (p100.name, p100.memory_mb) == ("Tesla P100-PCIE-16GB", None)


@pytest.mark.parametrize(
    ("name", "model", "threads", "cores", "hypervisor"),
    [
        ("aarch64", None, 6, None, None),  # the last 6 of its 96
        ("i5-7360U-vm", "Intel(R) Core(TM) i5-7360U CPU @ 2.30GHz", 1, 1, True),
        ("jc-cpuinfo2", "Intel(R) Core(TM) i5-8279U CPU @ 2.40GHz", 2, 2, True),
        ("ryzen7-2700x_ubuntu22.04", "AMD Ryzen 7 2700X Eight-Core Processor", 16, 8, False),
    ],
)
def test_cpuinfo(
    name: str, model: str | None, threads: int, cores: int | None, hypervisor: bool | None
) -> None:
    cpu = parse_cpuinfo(capture(f"proc-cpuinfo_{name}.txt"))
    assert (cpu.model_name, cpu.threads, cpu.cores) == (model, threads, cores)
    assert cpu.hypervisor is hypervisor


def test_meminfo() -> None:
    memory = parse_meminfo(capture("proc-meminfo_jc.txt"))
    assert (memory.total_kib, memory.available_kib) == (3997272, 3386876)
    assert (memory.swap_total_kib, memory.swap_free_kib) == (3996668, 3996668)


@pytest.mark.parametrize(
    ("name", "models", "threads", "cores", "hypervisor"),
    [
        (
            "lscpu-J_h100-vm_flat.json",
            ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",),
            *(26, 13, "KVM"),
        ),
        ("lscpu_aarch64.txt", (), 96, 96, None),
        (
            "lscpu_ryzen7-2700x_ubuntu22.04.txt",
            ("AMD Ryzen 7 2700X Eight-Core Processor",),
            *(16, 8, None),
        ),
        (
            "lscpu_ryzen9-7940HS.txt",
            ("AMD Ryzen 9 PRO 7940HS w/ Radeon 780M Graphics",),
            *(16, 8, None),
        ),
    ],
)
def test_lscpu(
    name: str, models: tuple[str, ...], threads: int, cores: int, hypervisor: str | None
) -> None:
    cpu = parse_lscpu(capture(name))
    assert cpu.model_names == models
    assert (cpu.threads, cpu.cores, cpu.hypervisor) == (threads, cores, hypervisor)
