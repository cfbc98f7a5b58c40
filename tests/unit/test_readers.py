"""Each parser on small invented texts, and on garbage."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.readers.ioreg import parse_accelerators, parse_platform_uuid, parse_properties
from fleet.readers.lscpu import parse_lscpu
from fleet.readers.notifyutil import parse_thermal_class
from fleet.readers.nvidia_smi import parse_query, parse_xml, present
from fleet.readers.pmset import parse_custom, parse_power_source, parse_therm, power_mode
from fleet.readers.proc import (
    parse_boot_unix_s,
    parse_cpu_limit,
    parse_cpuinfo,
    parse_load_1m,
    parse_meminfo,
    parse_memory_limit_bytes,
    parse_os_release,
    parse_uptime_s,
)
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
    "present": (present, "[N/A]"),
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
