"""What tools print around what is expected, and instead of it: read right, or not understood."""

from __future__ import annotations

import json

import pytest

from fleet.readers import amd, dmi, load
from fleet.readers.nvidia_smi import parse_table, parse_xml
from fleet.readers.pci import parse_graphics
from fleet.readers.pmset import (
    coarse_class,
    has_power_modes,
    mode_not_understood,
    parse_custom,
    parse_therm,
    power_mode,
)
from fleet.readers.power_supply import parse_power_source as parse_supply
from fleet.readers.proc import is_no_limit, parse_cgroups
from fleet.readers.text import real
from fleet.readers.tree import parse_json
from tests.unit.test_readers import (
    DIMMS,
    DRM,
    NO_WARNING,
    NVIDIA_XML,
    PARSERS,
    POWER,
    PROC,
    TABLE,
    power_samples,
)

AROUND = (
    "WARNING: low power\n{}\n",
    "{}\nWARNING: infoROM is corrupted at gpu 0000:01:00.0\n",
    "[WARN] [1] {{x}} odd\n\n{}\n\nWARNING: [2]\nall done {{}}\n",
)
"""What tools print before and after their documents."""


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    "name", ["rocm_smi", "amd_smi", "lscpu", "system_profiler", "macmon", "nvidia_xml", "mlx"]
)
def test_warnings_around_a_document_change_nothing(name: str, around: str) -> None:
    parse, sample = PARSERS[name]
    document = (
        sample.partition("\n")[0] if name == "macmon" else sample.replace("WARNING: invented\n", "")
    )
    plain = parse(document)
    assert plain
    assert parse(around.format(document)) == plain


def test_a_document_that_is_cut_off_is_none_and_not_a_part_of_it() -> None:
    nested = json.dumps({"a": {"gpu_data": [1, 2]}, "b": [{"c": 1}]}, indent=1)
    assert parse_json(nested) == json.loads(nested)
    for end in range(1, len(nested)):
        assert parse_json(nested[:end]) is None
    assert parse_json("no [ document ] { here") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("24576 MiB", 24576.0),
        ("-4.5 C", -4.5),
        ("1,234 MiB", None),
        ("38,5", None),
        ("1.234,5", None),
        ("1e999", None),
        ("1.5e3", None),
        ("0.20 0.18", 0.2),
        ("32.0 GT/s PCIe", 32.0),
        ("9" * 30, None),
    ],
)
def test_half_a_number_is_not_read_as_one(text: str, value: float | None) -> None:
    assert real(text) == value


HEADS = {
    "NVIDIA-SMI 901.10    Driver Version: 901.10    CUDA Version: 19.1 ": ("901.10", "19.1"),
    "NVIDIA-SMI 910.47    KMD Version: 910.48    CUDA UMD Version: 23.3 ": ("910.48", "23.3"),
    "NVIDIA-SMI 910.47    KMD Version : 910.48 CUDA UMD Version :23.3 ": ("910.48", "23.3"),
    "NVIDIA-SMI 910.47    Driver Version: 910.47    CUDA Version: ERR! ": ("910.47", None),
    "NVIDIA-SMI 910.47    KMD Version: N/A    CUDA UMD Version: 23.3 ": (None, "23.3"),
}


@pytest.mark.parametrize("head", HEADS)
def test_the_head_of_the_table_in_all_its_forms(head: str) -> None:
    rest = TABLE.partition("\n")[2]
    [gpu] = parse_table(f"| {head} |\n{rest}")
    assert (gpu.driver, gpu.cuda) == HEADS[head]


def test_the_kernel_half_of_the_driver_names_it_in_the_document_too() -> None:
    told = NVIDIA_XML.replace("driver_version>", "kmd_version>").replace("cuda_v", "cuda_umd_v")
    [gpu] = parse_xml(told)
    assert (gpu.driver, gpu.cuda) == ("901.10", "19.1")


@pytest.mark.parametrize(
    ("states", "slowed"),
    [
        (("Active", "Not Active"), True),
        (("Not Active", "Not Active"), False),
        (("Not Active", "Actve"), None),
        (("N/A", "Not Active"), False),
        (("N/A", "N/A"), None),
    ],
)
def test_a_word_for_slowed_that_is_not_known_is_no_word_for_full_speed(
    states: tuple[str, str], slowed: bool | None
) -> None:
    names = ("hw_thermal_slowdown", "sw_thermal_slowdown")
    tags = (
        f"<clocks_event_reason_{name}>{state}</clocks_event_reason_{name}>"
        for name, state in zip(names, states, strict=True)
    )
    reasons = f"<clocks_event_reasons>{''.join(tags)}</clocks_event_reasons></gpu>"
    [gpu] = parse_xml(NVIDIA_XML.replace("</gpu>", reasons))
    assert gpu.slowed is slowed


@pytest.mark.parametrize(
    ("text", "modes", "mode"),
    [
        ("AC Power:\n sleep 0\n", False, None),
        ("AC Power:\n powermode 2\n", True, "high"),
        ("AC Power:\n powermode 7\n", True, None),
        ("AC Power\n powermode 2\n", True, "high"),
        ("Battery Power:\n powermode 1\nAdapter Power:\n powermode 2\n", True, None),
        ("Netzteil:\n powermode 2\n", True, None),
        ("AC Power:\n", None, None),
        ("", None, None),
        ("AC Power:\n sleep 1 (sleep prevented by a b)\n lowpowermode 1\n", True, "low"),
    ],
)
def test_power_modes_are_there_not_there_or_not_understood(
    text: str, modes: bool | None, mode: str | None
) -> None:
    sources = parse_custom(text)
    assert has_power_modes(sources) is modes
    assert power_mode(sources, "AC Power") == mode
    if modes and mode is None:
        assert mode_not_understood(sources, "AC Power")


def test_a_limit_of_heat_that_makes_no_sense_is_not_nominal() -> None:
    for printed in ("abc", "-5", "400"):
        told = parse_therm(f"{NO_WARNING}\tCPU_Speed_Limit \t= {printed}\n")
        assert told.not_understood == f"CPU_Speed_Limit {printed}"
        assert coarse_class(told) is None
    assert coarse_class(parse_therm("Thermal Warning Level = 5\nCPU_Speed_Limit = x")) == "moderate"


def test_a_share_that_makes_no_whole_is_unknown() -> None:
    odd = POWER.replace("<real>0.2</real>", "<real>118000</real>")
    assert power_samples(POWER)[0].gpu_busy_percent is not None
    assert power_samples(odd)[0].gpu_busy_percent is None


def test_a_module_whose_size_makes_no_sense_is_there_all_the_same() -> None:
    """Left out, it would be missing from the sum of the bandwidths."""
    odd = DIMMS.replace("16384 MB", "many MB") + DIMMS
    modules = dmi.parse_memory_devices(odd)
    assert [module.size_gib for module in modules] == [None, 16.0]
    assert dmi.peak_gb_s(modules) == 128.0


def test_counters_after_one_that_cannot_be_do_not_take_its_place() -> None:
    assert load.parse_proc(PROC.replace("cpu  100 0", "cpu  x 0")) is None
    assert load.parse_proc(PROC.replace("cpu  100 0", "cpu  -1 0")) is None


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("AC/type:Mains\nAC/online:1\n", "mains"),
        ("ucsi-source-psy-USBC000:001/type:USB\nucsi-source-psy-USBC000:001/online:1\n", "mains"),
        ("AC/type:Mains\nAC/online:0\nB/type:Battery\nB/status:Discharging\n", "battery"),
        ("B/type:Battery\nB/status:Charging\n", "mains"),
        ("B/type:Battery\nB/status:Full\n", None),
        ("m/type:Battery\nm/scope:Device\nm/status:Discharging\n", None),
        ("AC/type:Mains\nAC/online:yes\n", None),
        ("", None),
    ],
)
def test_what_feeds_a_machine(text: str, source: str | None) -> None:
    assert parse_supply(text) == source


def test_displays_are_none_only_where_every_connector_says_so() -> None:
    assert amd.parse_displays(DRM.replace("status:connected", "status:unknown")) is None
    assert amd.parse_displays(DRM.replace("status:connected", "status:disconnected")) == 0


def test_places_of_a_process_in_the_kernels_groups() -> None:
    text = "4:cpu,cpuacct:/a\n3:memory:/b/c\n1:name=systemd:/d\n0::/e\n9:x\ngarbage\n"
    assert parse_cgroups(text) == {
        "cpu": "/a",
        "cpuacct": "/a",
        "memory": "/b/c",
        "name=systemd": "/d",
        "": "/e",
    }
    assert [is_no_limit(word) for word in ("max", "-1", "9223372036854771712", "max 1000")] == (
        [True] * 4
    )
    assert [is_no_limit(word) for word in ("0", "many", "", "1000")] == [False] * 4


def test_makers_of_the_graphics_devices_on_the_bus() -> None:
    text = (
        "0000:00:01.0/class:0x060000\n0000:00:01.0/vendor:0x8086\n"
        "0000:01:00.0/class:0x030200\n0000:01:00.0/vendor:0x10de\nodd\n"
    )
    assert parse_graphics(text) == {"10de"}
    assert parse_graphics("") == frozenset()


def test_memory_by_process_over_all_gpus() -> None:
    line = "/sys/class/kfd/kfd/proc/{}/vram_{}:{}\n"
    text = line.format(7, 1, 2**30) + line.format(7, 2, 2**30) + line.format(8, 1, "x")
    assert amd.parse_kfd(text) == {7: 2048}
