"""Each parser on small invented texts, and on garbage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.readers import (
    amd,
    dmi,
    load,
    macmon,
    metal,
    ollama_log,
    powermetrics,
    run_as,
    vm_stat,
)
from fleet.readers.ioreg import parse_accelerators, parse_platform_uuid, parse_properties
from fleet.readers.lscpu import parse_lscpu
from fleet.readers.notifyutil import parse_thermal_class
from fleet.readers.nvidia_smi import parse_fields, parse_query, parse_table, parse_xml, present
from fleet.readers.pci import parse_graphics
from fleet.readers.pmset import (
    coarse_class,
    has_power_modes,
    parse_custom,
    parse_power_source,
    parse_therm,
    power_mode,
)
from fleet.readers.power_supply import parse_power_source as parse_supply
from fleet.readers.proc import (
    parse_boot_unix_s,
    parse_cgroups,
    parse_cores,
    parse_cpu_limit,
    parse_cpu_list,
    parse_cpuinfo,
    parse_full_pressure_percent,
    parse_load_1m,
    parse_meminfo,
    parse_memory_limit_bytes,
    parse_os_release,
    parse_uptime_s,
)
from fleet.readers.sensors import parse_heat
from fleet.readers.sw_vers import parse_sw_vers
from fleet.readers.sysctl import parse_boot_unix_s as parse_mac_boot_unix_s
from fleet.readers.sysctl import parse_load_1m as parse_mac_load_1m
from fleet.readers.sysctl import parse_swap_used_mb, parse_sysctl, perf_levels
from fleet.readers.system_profiler import parse_system_profiler
from fleet.readers.text import one_space, real, whole

SYSCTL = """\
hw.model: Mac99,1
hw.perflevel1.name: Performance
hw.perflevel1.physicalcpu: 9
hw.perflevel0.name: Super
hw.perflevel0.physicalcpu: 4
hw.perflevel0.logicalcpu: 4
kern.boottime: { sec = 1800000000, usec = 12 } Fri Jan 15 08:00:00 2027
sysctl: unknown oid 'hw.none'
machdep.cpu.brand_string: Apple M9 Max
"""
IOREG = """\
+-o AGXAcceleratorG99X  <class AGXAcceleratorG99X, id 0x1, registered, matched>
    {
      "IOMatchedAtBoot" = Yes
      "PerformanceStatistics" = {"In use system memory (driver)"=7,"Device Utilization %"=21,"In use system memory"=4096}
      "gpu-core-count" = 44
      "model" = "Apple M9 Max"
    }
"""  # noqa: E501
CUSTOM = """\
Battery Power:
 Sleep On Power Button 1
 powermode            1
AC Power:
 powermode            2
 displaysleep         0
"""
NVIDIA_XML = """\
<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v99.dtd">
<nvidia_smi_log>
  <driver_version>901.10</driver_version>
  <cuda_version>19.1</cuda_version>
  <gpu id="00000000:01:00.0">
    <product_name>NVIDIA RTX 9999</product_name>
    <mig_mode><current_mig>Disabled</current_mig></mig_mode>
    <mig_devices><mig_device><fb_memory_usage><total>5 MiB</total></fb_memory_usage></mig_device>
    </mig_devices>
    <fb_memory_usage><total>49140 MiB</total></fb_memory_usage>
    <ecc_mode><current_ecc>N/A</current_ecc></ecc_mode>
    <power_readings><power_limit> 410.50 W </power_limit></power_readings>
    <vbios_version>99.01</vbios_version>
  </gpu>
</nvidia_smi_log>
"""
CPUINFO = """\
processor\t: 0
model name\t: Invented(R) CPU   99
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse2

processor\t: 1
model name\t: Invented(R) CPU   99
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse2

processor\t: 2
model name\t: Invented(R) CPU   99
physical id\t: 1
core id\t\t: 0
flags\t\t: fpu sse2
"""
MEMINFO = "MemTotal: 1000 kB\nMemAvailable: 600 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\nHuge: 0\n"
LSCPU_NESTED = json.dumps(
    {
        "lscpu": [
            {"field": "Architecture:", "data": "aarch64"},
            {"field": "CPU(s):", "data": "20"},
            {
                "field": "Vendor ID:",
                "data": "Invented",
                "children": [
                    {"field": "Model name:", "data": "Core-A", "children": []},
                    {"field": "Thread(s) per core:", "data": "1"},
                    {"field": "Model name:", "data": "Core-B"},
                ],
            },
        ]
    }
)
DISPLAYS = '{"SPDisplaysDataType": [{"sppci_model": "Apple M9 Max", "sppci_cores": "44"}]}'

POWER = """\
<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>elapsed_ns</key><integer>200</integer><key>thermal_pressure</key><string>Heavy</string>
<key>timestamp</key><date>2027-01-15T08:00:00Z</date>
<key>processor</key><dict>
  <key>clusters</key><array><dict><key>name</key><string>S</string>
    <key>freq_hz</key><real>3e9</real><key>cpus</key><array>
      <dict><key>idle_ratio</key><real>0.25</real><key>down_ratio</key><real>0.25</real></dict>
      <dict><key>idle_ratio</key><real>1</real></dict></array></dict></array>
  <key>gpu_power</key><real>2500</real><key>gpu_energy</key><integer>44</integer></dict>
<key>gpu</key><dict><key>freq_hz</key><real>1380</real><key>idle_ratio</key><real>0.2</real></dict>
</dict></plist>
"""
MACMON = '{"gpu_power": 1.5, "sys_power": 20.0, "gpu_usage": [1000, 0.44], "temp": {}}\n{"gpu_po'
METAL = """\
ggml_metal_device_init: GPU name:   MTL0 (Apple M9 Max)
ggml_metal_device_init: GPU family: MTLGPUFamilyMetal9  (5009)
ggml_metal_device_init: recommendedMaxWorkingSetSize  = 44000.20 MB
"""
MLX = "{'device_name': 'Apple M9', 'max_recommended_working_set_size': 44000200000}"
SERVE = """\
time=2027-01-15T08:00:00.000+08:00 level=INFO msg="server config" env="map[OLLAMA_HOST:old]"
time=2027-01-15T08:00:00.100+08:00 level=INFO msg="Listening on 127.0.0.1:9 (version 8.0.0)"
time=2027-01-15T08:00:00.200+08:00 level=INFO msg="inference compute" library=cpu total="1.0 GiB"
time=2027-01-15T09:00:00.000+08:00 level=INFO source=routes.go:1 msg="server config" \
env="map[OLLAMA_FLASH_ATTENTION:1 OLLAMA_HOST:http://127.0.0.1:44 OLLAMA_ORIGINS:[http://a https://b:*]]"
time=2027-01-15T09:00:00.100+08:00 level=INFO msg="Listening on 127.0.0.1:44 (version 9.9.9)"
time=2027-01-15T09:00:00.200+08:00 level=INFO msg="inference compute" id=0 library=CUDA \
name=CUDA0 description="NVIDIA RTX 9999" type=discrete total="44.5 GiB" available="40.0 GiB"
time=2027-01-15T09:00:00.300+08:00 level=INFO msg="vram-based default context" \
total_vram="44.5 GiB" default_num_ctx=32768
"""
DIMMS = """\
Handle 0x0001, DMI type 1, 27 bytes
System Information
\tManufacturer: Invented
\tProduct Name: Board 44

Handle 0x0002, DMI type 17, 40 bytes
Memory Device
\tData Width: 64 bits
\tSize: 16384 MB
\tBank Locator: CHANNEL A
\tType: DDR9
\tSpeed: 9000 MT/s
\tConfigured Memory Speed: 8000 MT/s

Handle 0x0003, DMI type 17, 40 bytes
Memory Device
\tSize: No Module Installed
"""
UDEV_DIMMS = """\
E:MEMORY_ARRAY_NUM_DEVICES=2
E:MEMORY_DEVICE_0_DATA_WIDTH=64
E:MEMORY_DEVICE_0_SIZE=17179869184
E:MEMORY_DEVICE_0_TYPE=DDR9
E:MEMORY_DEVICE_0_CONFIGURED_SPEED_MTS=8000
E:MEMORY_DEVICE_1_PRESENT=0
"""
ROCM = """\
WARNING: invented
{"card0": {"Card Series": "Radeon 44", "GPU ID": "0xabcd", "VRAM Total Memory (B)": "1073741824",
"GTT Total Memory (B)": "2147483648", "0": "2.5GT/s x1", "1": "32.0GT/s x16 *"},
"system": {"Driver version": "44.1"}}
"""
AMD_SMI = """\
{"gpu_data": [{"gpu": 0, "asic": {"market_name": "Radeon 44", "device_id": "0xabcd"},
"bus": {"max_pcie_width": 16, "max_pcie_speed": {"value": 32, "unit": "GT/s"}},
"vram": {"size": {"value": 1024, "unit": "MB"}}}]}
"""
DRM = """\
/sys/class/drm/card0/device/vendor:0x10de
/sys/class/drm/card1/device/vendor:0x1002
/sys/class/drm/card1/device/device:0xabcd
/sys/class/drm/card1/device/mem_info_vram_total:1073741824
/sys/class/drm/card1/device/mem_info_gtt_total:2147483648
/sys/class/drm/card1/device/max_link_speed:32.0 GT/s PCIe
/sys/class/drm/card1/device/max_link_width:16
/sys/class/drm/card1/device/hwmon/hwmon7/power1_cap:300000000
/sys/class/drm/card1-DP-1/status:connected
/sys/class/drm/card1-DP-2/status:disconnected
"""
TABLE = """\
| NVIDIA-SMI 901.10              Driver Version: 901.10      CUDA Version: 19.1     |
|   0  NVIDIA RTX 9999                On  |   00000000:01:00.0  On |                  Off |
| 44%   35C    P8             20W /  450W |    300MiB /  24564MiB  |      7%      Default |
"""
PROC = """\
cpu  100 0 50 800 50 0 0 0 0 0
cpu0 100 0 50 800 50 0 0 0 0 0
1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 10 5 1 1 20 0 1 0 5 1 1
44 (a (b) c) R 1 1 1 0 -1 4194560 1 2 3 4 60 20 2 2 20 0 1 0 5 1 1
"""
PS = "  1  0  0.0 /sbin/launchd\n 44  1 150.5 /Applications/Ollama.app/Contents/ollama\n"

UNITS = """\
Id=ollama.service
MainPID=44
Environment=PATH=/usr/bin "OLLAMA_HOST=0.0.0.0:1000" OLLAMA_ORIGINS=*
ActiveState=active

Id=other.service
MainPID=0
ActiveState=inactive
"""
LAUNCHD = "PID\tStatus\tLabel\n44\t0\thomebrew.mxcl.ollama\n-\t78\tcom.apple.else\n"
PROCESSES = """\
    1     0 /sbin/launchd
   20     1 /Applications/Ollama.app/Contents/MacOS/Ollama hidden
   44    20 /Applications/Ollama.app/Contents/Resources/ollama serve
"""
CGROUP = "12:memory:/a\n1:name=systemd:/system.slice/ollama.service\n0::/\n"

PARSERS: dict[str, tuple[Callable[[str], object], str]] = {
    "sysctl": (parse_sysctl, SYSCTL),
    "perf_levels": (lambda text: perf_levels(parse_sysctl(text)), SYSCTL),
    "mac_boot": (parse_mac_boot_unix_s, "{ sec = 1800000000, usec = 12 } Fri Jan 15"),
    "mac_load": (parse_mac_load_1m, "{ 1.25 2.50 3.75 }"),
    "swap": (parse_swap_used_mb, "total = 2048.00M  used = 12.50M  free = 2035.50M  (encrypted)"),
    "accelerators": (parse_accelerators, IOREG),
    "properties": (parse_properties, IOREG),
    "platform_uuid": (parse_platform_uuid, '    "IOPlatformUUID" = "ABC-1"'),
    "power_source": (parse_power_source, "Now drawing from 'Battery Power'\n -InternalBattery-0"),
    "custom": (lambda text: power_mode(parse_custom(text), "AC Power"), CUSTOM),
    "coarse": (lambda text: coarse_class(parse_therm(text)), "\tCPU_Speed_Limit \t= 20\n"),
    "therm": (parse_therm, "Note: No thermal warning level\n\tCPU_Speed_Limit \t= 80\n"),
    "thermal_class": (parse_thermal_class, "com.apple.system.thermalpressurelevel 2\n"),
    "sw_vers": (parse_sw_vers, "ProductName:\t\tmacOS\nProductVersion:\t\t99.1\n"),
    "system_profiler": (parse_system_profiler, DISPLAYS),
    "nvidia_query": (parse_query, "name, memory.total [MiB]\nNVIDIA RTX 9999, 49140 MiB\n"),
    "nvidia_xml": (parse_xml, NVIDIA_XML),
    "cpuinfo": (parse_cpuinfo, CPUINFO),
    "meminfo": (parse_meminfo, MEMINFO),
    "os_release": (parse_os_release, 'ID=invented\nVERSION_ID="9"\n'),
    "load": (parse_load_1m, "0.20 0.18 0.12 1/80 11206"),
    "uptime": (parse_uptime_s, "350735.47 234388.90"),
    "boot": (parse_boot_unix_s, "cpu 1 2\nbtime 1800000000\n"),
    "memory_limit": (parse_memory_limit_bytes, "1073741824\n"),
    "cpu_limit": (parse_cpu_limit, "150000 100000\n"),
    "lscpu": (parse_lscpu, LSCPU_NESTED),
    "cores": (parse_cores, CPUINFO),
    "cpu_list": (parse_cpu_list, "0-3,8\n"),
    "memory_pressure": (parse_full_pressure_percent, "some avg10=1.50\nfull avg10=0.50 avg60=0\n"),
    "power_sample": (powermetrics.parse_sample, POWER),
    "power_stream": (powermetrics.split_samples, f"{POWER}\0{POWER[:44]}"),
    "macmon": (macmon.parse_line, MACMON),
    "llama_cpp": (metal.parse_llama_cpp, METAL),
    "mlx": (metal.parse_mlx, MLX),
    "serve_log": (ollama_log.parse_serve_log, SERVE),
    "environment": (ollama_log.parse_environment, "map[OLLAMA_A:1 OLLAMA_B:[x y:1]]"),
    "memory_devices": (lambda text: dmi.peak_gb_s(dmi.parse_memory_devices(text)), DIMMS),
    "udev_memory": (lambda text: dmi.peak_gb_s(dmi.parse_udev_memory(text)), UDEV_DIMMS),
    "rocm_smi": (amd.parse_rocm_smi, ROCM),
    "amd_smi": (amd.parse_amd_smi, AMD_SMI),
    "drm": (amd.parse_drm, DRM),
    "displays": (amd.parse_displays, DRM),
    "kfd": (amd.parse_kfd, "/sys/class/kfd/kfd/proc/44/vram_1000:1073741824\n"),
    "graphics": (parse_graphics, "0000:01:00.0/class:0x030000\n0000:01:00.0/vendor:0x10de\n"),
    "supply": (parse_supply, "AC/type:Mains\nAC/online:1\n"),
    "cgroups": (parse_cgroups, "4:memory:/a\n0::/\n"),
    "has_modes": (lambda text: has_power_modes(parse_custom(text)), CUSTOM),
    "nvidia_table": (parse_table, TABLE),
    "nvidia_fields": (parse_fields, '"name" or "gpu_name"\nThe name.\n'),
    "load_of_linux": (load.parse_proc, PROC),
    "load_of_a_mac": (load.parse_ps, PS),
    "vm_stat": (vm_stat.parse_vm_stat, "(page size of 16384 bytes)\nPages free:   44.\n"),
    "heat": (parse_heat, "44000\n"),
    "present": (present, "[N/A]"),
    "units": (run_as.parse_units, UNITS),
    "services": (run_as.parse_services, LAUNCHD),
    "listeners": (run_as.parse_listeners, "p44\nf3\np20\nf12\n"),
    "processes": (run_as.parse_processes, PROCESSES),
    "cgroup": (lambda text: run_as.unit_of(run_as.parse_cgroup(text)), CGROUP),
    "run_as": (
        lambda text: run_as.on_mac([44], run_as.parse_processes(text), run_as.parse_services(text)),
        PROCESSES,
    ),
    "whole": (whole, "12"),
    "real": (real, "12.5 W"),
}


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_no_text_makes_a_parser_raise(name: str, data: st.DataObject) -> None:
    parse, sample = PARSERS[name]
    start = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(start, len(sample)))
    parse(sample[:start] + data.draw(st.text()) + sample[end:])


@pytest.mark.parametrize("name", PARSERS)
def test_endless_numbers_and_brackets_make_no_parser_raise(name: str) -> None:
    parse, sample = PARSERS[name]
    for junk in ("9" * 5000, '{"lscpu":' + "[" * 9999, "²", '{"lscpu": 3}', "[]", '"'):
        parse(junk)
        parse(sample.replace("44", junk).replace("1000", junk).replace("20", junk))


def test_sysctl_keeps_keys_and_leaves_errors_out() -> None:
    values = parse_sysctl(SYSCTL)
    assert values["hw.model"] == "Mac99,1"
    assert values["kern.boottime"].startswith("{ sec = 1800000000")
    assert not any("unknown" in key for key in values)
    assert parse_mac_boot_unix_s(values["kern.boottime"]) == 1800000000
    assert parse_mac_load_1m("{ 1.25 2.50 3.75 }") == 1.25
    assert parse_swap_used_mb(PARSERS["swap"][1]) == 12.5


def test_perf_levels_are_told_by_their_names() -> None:
    levels = [(level.name, level.physical_cores) for level in perf_levels(parse_sysctl(SYSCTL))]
    assert levels == [("Super", 4), ("Performance", 9)]


def test_accelerator_statistics_are_matched_by_whole_keys() -> None:
    [gpu] = parse_accelerators(IOREG)
    assert (gpu.model, gpu.gpu_cores) == ("Apple M9 Max", 44)
    assert gpu.statistics["In use system memory"] == 4096
    assert gpu.statistics["In use system memory (driver)"] == 7
    assert parse_accelerators('+-o A\n "model" = <"Intel Iris">\n')[0].model == "Intel Iris"


@pytest.mark.parametrize(
    ("source", "mode"), [("AC Power", "high"), ("Battery Power", "low"), (None, None)]
)
def test_power_mode_is_that_of_the_source_in_use(source: str | None, mode: str | None) -> None:
    assert power_mode(parse_custom(CUSTOM), source) == mode


def test_power_mode_of_a_desktop_and_of_an_older_system() -> None:
    assert power_mode(parse_custom("AC Power:\n powermode 0\n"), None) == "auto"
    assert power_mode(parse_custom("AC Power:\n lowpowermode 1\n"), "AC Power") == "low"
    assert power_mode(parse_custom("AC Power:\n sleep 0\n"), "AC Power") is None


@pytest.mark.parametrize(
    ("level", "name"),
    [(0, "nominal"), (1, "moderate"), (2, "heavy"), (3, "trapping"), (4, "sleeping"), (9, None)],
)
def test_thermal_levels_have_names(level: int, name: str | None) -> None:
    assert parse_thermal_class(f"com.apple.system.thermalpressurelevel {level}\n") == name


def test_therm_reads_the_limit() -> None:
    assert parse_therm("\tCPU_Speed_Limit \t= 80\n").cpu_speed_limit_percent == 80
    assert parse_therm("").warning_recorded is None


NO_WARNING = "Note: No thermal warning level has been recorded\n"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (NO_WARNING, "nominal"),
        (
            f"{NO_WARNING}\tCPU_Speed_Limit \t= 100\n",
            "nominal",
        ),
        (
            f"{NO_WARNING}\tCPU_Speed_Limit \t= 80\n",
            "moderate",
        ),
        ("Thermal Warning Level = 5\n", "moderate"),
        ("\tCPU_Speed_Limit \t= 0\n", "moderate"),
        ("no such thing\n", None),
    ],
)
def test_the_coarse_level_of_heat(text: str, level: str | None) -> None:
    assert coarse_class(parse_therm(text)) == level


@pytest.mark.parametrize(
    ("text", "celsius"),
    [("45000\n61500\n", 61.5), ("45000\n-128000\n250000\nx\n", 45.0), ("", None), ("0x\n", None)],
)
def test_the_hottest_sensor_counts_and_a_broken_one_does_not(
    text: str, celsius: float | None
) -> None:
    assert parse_heat(text) == celsius


def test_query_reads_units_in_header_or_values_and_absent_as_none() -> None:
    text = (
        "a warning line\nvbios_version, name, memory.total [MiB], power.limit [W]\n"
        "99.01, NVIDIA GB10, [N/A], [Not Supported]\n99.02, NVIDIA X, 24564 MiB, 450.00 W\n"
        "cut off line, 3\n"
    )
    first, second = parse_query(text)
    assert (first.name, first.memory_mb, first.power_limit_w) == ("NVIDIA GB10", None, None)
    assert (second.vbios, second.memory_mb, second.power_limit_w) == ("99.02", 24564, 450.0)
    assert parse_query('Field "compute_cap" is not a valid field to query.\n') == []


@pytest.mark.parametrize(
    ("memory", "mib"),
    [
        *(("16380 MiB", 16380), ("16380MiB", 16380), ("16380", 16380), ("16380 MB", 16380)),
        *(("2 GiB", 2048), ("1.5 TiB", 1_572_864), ("2097152 KiB", 2048), ("1048576 B", 1)),
        *(("16 apples", None), ("16,380 MiB", None), ("1.2.3 MiB", None), ("MiB", None)),
    ],
)
def test_memory_is_of_the_unit_that_stands_behind_it(memory: str, mib: int | None) -> None:
    [queried] = parse_query(f"name, memory.total\nNVIDIA X, {memory!r}\n".replace("'", '"'))
    [described] = parse_xml(NVIDIA_XML.replace("49140 MiB", memory))
    assert (queried.memory_mb, described.memory_mb) == (mib, mib)


@pytest.mark.parametrize(
    ("memory", "gb"), [("64 GB", 64), ("64 Go", 64), ("1 TB", 1024), ("1.5 To", 1536), ("x", None)]
)
def test_a_macs_memory_is_of_its_unit_in_every_language(memory: str, gb: int | None) -> None:
    hardware = {"chip_type": "Apple M9", "physical_memory": memory}
    assert parse_system_profiler(json.dumps({"SPHardwareDataType": [hardware]})).memory_gb == gb


@pytest.mark.parametrize(
    ("power", "limit"),
    [
        ("power_readings", "power_limit"),
        ("power_readings", "enforced_power_limit"),
        ("gpu_power_readings", "current_power_limit"),
    ],
)
def test_xml_takes_old_and_new_tag_names(power: str, limit: str) -> None:
    [gpu] = parse_xml(NVIDIA_XML.replace("power_readings", power).replace("power_limit", limit))
    assert (gpu.name, gpu.memory_mb, gpu.driver, gpu.cuda) == (
        *("NVIDIA RTX 9999", 49140),
        *("901.10", "19.1"),
    )
    assert (gpu.power_limit_w, gpu.vbios, gpu.ecc, gpu.mig) == (410.5, "99.01", None, False)


def test_cpuinfo_counts_threads_and_cores_of_all_sockets() -> None:
    cpu = parse_cpuinfo(CPUINFO)
    assert (cpu.model_name, cpu.threads, cpu.cores) == ("Invented(R) CPU 99", 3, 2)
    assert cpu.hypervisor is False
    assert parse_cpuinfo(CPUINFO.replace("sse2", "sse2 hypervisor")).hypervisor is True
    nameless = parse_cpuinfo("processor : 0\nCPU implementer : 0x41\nCPU part : 0xd4f\n")
    assert (nameless.model_name, nameless.part) == (None, "0x41 0xd4f")
    assert nameless.hypervisor is None


def test_meminfo_and_its_neighbours() -> None:
    memory = parse_meminfo(MEMINFO)
    assert (memory.total_kib, memory.available_kib) == (1000, 600)
    assert (memory.swap_total_kib, memory.swap_free_kib) == (50, 20)
    assert parse_os_release('#x=y\nID=invented\nVERSION_ID="9"\n') == {
        "ID": "invented",
        "VERSION_ID": "9",
    }
    assert parse_load_1m("0.20 0.18 0.12 1/80 11206") == 0.2
    assert parse_uptime_s("350735.47 234388.90") == 350735.47
    assert parse_boot_unix_s("cpu 1 2\nbtime 1800000000\n") == 1800000000


def test_no_limit_is_none() -> None:
    assert parse_memory_limit_bytes("max\n") is None
    assert parse_memory_limit_bytes("9223372036854771712\n") is None
    assert parse_memory_limit_bytes("1073741824\n") == 2**30
    assert parse_cpu_limit("max 100000\n") is None
    assert parse_cpu_limit("150000 100000\n") == 1.5


def test_lscpu_nested_names_both_kinds_of_core() -> None:
    cpu = parse_lscpu(LSCPU_NESTED)
    assert cpu.model_names == ("Core-A", "Core-B")
    assert (cpu.architecture, cpu.cores, cpu.threads, cpu.hypervisor) == ("aarch64", 20, 20, None)


def test_profile_takes_cores_as_text_or_number() -> None:
    assert parse_system_profiler(DISPLAYS).gpu_cores == 44
    assert parse_system_profiler(DISPLAYS.replace('"44"', "44")).gpu_cores == 44
    assert parse_system_profiler(DISPLAYS.replace('"44"', "null")).gpu_cores is None


def test_numbers_are_read_or_none() -> None:
    assert (whole("12"), whole("12.5"), whole(None), whole(True)) == (12, None, None, None)
    assert (real(" 12.5 W"), real("W"), real(None), real("9" * 400)) == (12.5, None, None, None)
    assert (one_space(" a \0 b "), one_space(" "), one_space(None)) == ("a b", None, None)


# powermetrics and macmon


def power_samples(text: str) -> list[powermetrics.PowerSample]:
    whole, _ = powermetrics.split_samples(text)
    return [sample for part in whole if (sample := powermetrics.parse_sample(part)) is not None]


def macmon_samples(text: str) -> list[macmon.MacmonSample]:
    lines = text.splitlines()
    return [sample for line in lines if (sample := macmon.parse_line(line)) is not None]


def test_a_power_sample_is_watts_millijoules_and_shares() -> None:
    [first, second] = power_samples(f"\0{POWER}\0{POWER}")
    assert first == second
    assert (first.gpu_watts, first.gpu_millijoules, first.cpu_watts) == (2.5, 44.0, None)
    assert (first.gpu_mhz, first.thermal_class) == (1380.0, "heavy")
    assert first.gpu_busy_percent == pytest.approx(80)
    [cluster] = first.clusters
    assert (cluster.name, cluster.mhz, cluster.cores) == ("S", 3000.0, 2)
    assert cluster.busy_percent == pytest.approx(25)  # 0.5 and 0 of two cores
    assert first.unix_s == 1800000000


@given(st.integers(0, len(POWER)))
def test_a_stream_read_in_any_two_parts_gives_the_same_samples(at: int) -> None:
    stream = f"{POWER}\0{POWER}\0"
    whole, rest = powermetrics.split_samples(stream[:at])
    more, left = powermetrics.split_samples(rest + stream[at:])
    assert len([*whole, *more]) == 2
    assert not left.strip("\0\n")


def test_a_torn_sample_is_left_out_and_the_next_is_read() -> None:
    torn = POWER.replace("<integer>200</integer>", "<integer>2")
    assert len(power_samples(torn + POWER)) == 1
    [sample] = macmon_samples(MACMON)
    assert (sample.gpu_watts, sample.system_watts, sample.gpu_mhz) == (1.5, 20.0, 1000)
    assert (sample.gpu_scaled_percent, sample.gpu_busy_percent) == (44.0, None)


# limits, logs, modules


def test_the_latest_start_in_a_log_counts() -> None:
    log = ollama_log.parse_serve_log(SERVE)
    assert (log.version, log.listens, log.default_num_ctx) == ("9.9.9", "127.0.0.1:44", 32768)
    assert log.environment == {
        "OLLAMA_FLASH_ATTENTION": "1",
        "OLLAMA_HOST": "http://127.0.0.1:44",
        "OLLAMA_ORIGINS": "[http://a https://b:*]",
    }
    [gpu] = log.devices
    assert (gpu.library, gpu.name, gpu.total_mb) == ("cuda", "NVIDIA RTX 9999", 44.5 * 1024)
    assert (log.total_mb, gpu.integrated) == (44.5 * 1024, False)


def test_the_acceptance_of_drafts_is_that_of_all_requests_since_the_last_load() -> None:
    """Lines of 0.32.15 and 0.34.4, one for each request; the load before does not count."""
    line = 'msg="speculative decode stats" iterations=20 drafted={} accepted={} acceptance=1.00\n'
    load = 'msg="MLX engine initialized" "MLX version"=0.32.2 device=gpu\n'
    text = load + line.format(100, 1) + load
    assert ollama_log.parse_serve_log(text).mlx.draft_acceptance is None
    text += line.format(30, 20) + line.format(10, 10)
    assert ollama_log.parse_serve_log(text).mlx.draft_acceptance == 0.75
    assert ollama_log.parse_serve_log(line.format(30, 20)).mlx.draft_acceptance is None
    odd = ollama_log.parse_serve_log(load + line.format(10, 20)).mlx
    assert odd.draft_acceptance is None
    assert "draft_acceptance" in odd.outside


def test_a_metal_limit_is_in_mebibytes_whatever_prints_it() -> None:
    assert metal.parse_llama_cpp(METAL) == metal.MetalDevice(
        name="Apple M9 Max", limit_mb=41961, metal_version=9
    )
    assert metal.parse_mlx(MLX).limit_mb == 41961
    listed = f"{METAL}  MTL0: Apple M9 Max (43210 MiB, 1 MiB free)\n  BLAS: X (0 MiB, 0 MiB free)\n"
    assert metal.parse_llama_cpp(listed).limit_mb == 43210


def test_memory_bandwidth_is_the_sum_of_all_modules_or_unknown() -> None:
    [module] = dmi.parse_memory_devices(DIMMS)
    assert (module.size_gib, module.kind, module.speed_mt_s) == (16.0, "DDR9", 8000)
    assert dmi.parse_udev_memory(UDEV_DIMMS) == [replace(module, locator=None)]
    assert dmi.peak_gb_s([module, module]) == 128.0
    assert dmi.peak_gb_s([module, replace(module, speed_mt_s=None)]) is None
    assert dmi.peak_gb_s([]) is None


def test_an_amd_gpu_is_the_same_however_it_is_asked() -> None:
    [rocm], [smi] = amd.parse_rocm_smi(ROCM), amd.parse_amd_smi(AMD_SMI)
    [drm] = amd.parse_drm(DRM)
    for gpu in (rocm, smi, drm):
        assert (gpu.device, gpu.vram_mb, gpu.pcie) == ("abcd", 1024, "PCIe 5 x16")
    assert rocm.name == smi.name == "Radeon 44"
    assert (rocm.gtt_mb, drm.gtt_mb, drm.power_limit_w) == (2048, 2048, 300.0)
    bare = ROCM.replace('"1073741824"', "1073741824").replace(
        '"Radeon 44"', '5567, "Device Name": "X\0"'
    )
    assert [(gpu.name, gpu.vram_mb) for gpu in amd.parse_rocm_smi(bare)] == [("X", 1024)]
    assert amd.parse_displays(DRM) == 1
    assert amd.parse_displays("") is None


def test_the_table_for_people_is_read_where_nothing_else_is() -> None:
    [gpu] = parse_table(TABLE)
    assert (gpu.name, gpu.memory_mb, gpu.power_limit_w) == ("NVIDIA RTX 9999", 24564, 450.0)
    assert (gpu.driver, gpu.cuda, gpu.display, gpu.busy_percent) == ("901.10", "19.1", True, 7.0)


# load


def test_a_process_with_brackets_in_its_name_is_read() -> None:
    look = load.parse_proc(PROC)
    assert look is not None
    assert (look.total, look.busy) == (1000, 150)
    assert [(p.pid, p.parent, p.name, p.ticks) for p in look.processes] == [
        (1, 0, "init", 17.0),
        (44, 1, "a (b) c", 84.0),
    ]
    ollama = load.parse_ps(PS)[1]
    assert (ollama.pid, ollama.name, ollama.ticks) == (44, "ollama", 150.5)


def test_foreign_load_leaves_our_own_family_out() -> None:
    def look(busy: int, ours: float, child: float) -> load.Look:
        processes = (
            load.Process(pid=1, parent=0, name="init", ticks=0),
            load.Process(pid=7, parent=1, name="ollama", ticks=ours),
            load.Process(pid=8, parent=7, name="runner", ticks=child),
        )
        return load.Look(total=1000 + busy * 2, busy=busy, processes=processes)

    before, after = look(0, 0, 5), look(200, 40, 65)
    own = load.family(after.processes, (), re.compile("ollama"))
    assert own == {7, 8}
    assert load.foreign_percent(before, after, own) == pytest.approx(25)
    assert load.foreign_percent(before, after, ()) == pytest.approx(50)
    assert load.foreign_percent(after, after, own) is None
    assert load.family(after.processes, (8,), re.compile("nothing")) == {8}
