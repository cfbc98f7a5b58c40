"""`nvidia-smi --query-gpu=... --format=csv`, `nvidia-smi -q -x` and the table for people.

Tag names moved between drivers and the schema number does not tell, so both are tried.
"""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from fleet.readers.bounds import Record, bounded
from fleet.readers.nvidia_processes import GpuProcess, listed_in_table, listed_in_xml, present
from fleet.readers.text import mebibytes, real, rounded

SLOWDOWNS = ("hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown")
QUERY = (
    *("name", "memory.total", "driver_version", "compute_cap", "power.limit", "vbios_version"),
    "temperature.gpu",
)
XML_END = "</nvidia_smi_log>"
TABLE_CELLS = 5
_TABLED_NAME = re.compile(r"(\d{1,3})\s+(.+?)\s+(?:On|Off|N/A)", re.ASCII)
_HEAT = re.compile(r"\b(\d{1,3})C\b", re.ASCII)
_DRIVER = re.compile(r"\b(?:Driver|KMD) Version *: *(\d\S*)", re.IGNORECASE)
_CUDA = re.compile(r"\bCUDA (?:UMD )?Version *: *(\d\S*)", re.IGNORECASE)
"""Since driver 610 the table names the parts in the kernel (KMD) and beside it (UMD) apart."""
_SWITCH = {"Enabled": True, "Disabled": False}
_SLOWED = {"Active": True, "Not Active": False}
_NO_MEMORY = re.compile(r"\[?(?:N/A|Not Supported)\]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu(Record):
    """One NVIDIA GPU as nvidia-smi reports it; memory in MiB, power in watts."""

    name: str | None = None
    memory_mb: int | None = None
    no_memory: bool = False
    """nvidia-smi says that it has none of its own to tell of."""
    used_mb: int | None = None
    """In use by all programs together."""
    described: bool = False
    """By `-q -x`, which names every feature: one that it does not tell of is not there."""
    driver: str | None = None
    cuda: str | None = None
    """Highest CUDA version that the driver supports."""
    compute_capability: str | None = None
    power_limit_w: float | None = None
    vbios: str | None = None
    ecc: bool | None = None
    mig: bool | None = None
    """True: the GPU is cut into parts, and its memory is not what one process can have."""
    mig_parts_mb: tuple[int, ...] = ()
    """Memory of each part, MiB."""
    pcie: str | None = None
    """Highest link that card and slot can both do: `PCIe 4 x16`."""
    device: str | None = None
    """PCI device and subsystem: the kind of board, not the very board."""
    display: bool | None = None
    slowed: bool | None = None
    """By heat or a power brake at this moment; a software power cap is normal at full load."""
    celsius: float | None = None
    busy_percent: float | None = None
    users: tuple[str, ...] | None = None
    """Programs that compute on it now."""
    processes: tuple[GpuProcess, ...] | None = None
    """Programs that hold a part of its memory; None where none are listed at all."""


def parse_query(text: str) -> list[Gpu]:
    """One GPU per line under the header line; units in header or values, columns in any order."""
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error:
        return []
    header = next((i for i, row in enumerate(rows) if "name" in map(str.strip, row)), None)
    if header is None:
        return []
    names = [column.split("[")[0].strip() for column in rows[header]]
    lines = (row for row in rows[header + 1 :] if len(row) == len(names))
    return [_queried(dict(zip(names, row, strict=True))) for row in lines]


def parse_xml(text: str) -> list[Gpu]:
    """All GPUs of `-q -x`; empty where the text is no such document."""
    try:
        log = ET.fromstring(_document(text))
    except (ET.ParseError, ValueError):
        return []
    driver = _tag(log, "driver_version") or _tag(log, "kmd_version")
    cuda = _tag(log, "cuda_version") or _tag(log, "cuda_umd_version")
    return [_described(gpu, driver, cuda) for gpu in log.findall("gpu")]


def _document(text: str) -> str:
    """Without what nvidia-smi prints around it, such as a warning of a damaged infoROM."""
    start, end = text.find("<nvidia_smi_log"), text.rfind(XML_END)
    return text[start : end + len(XML_END)] if 0 <= start < end else text


def parse_table(text: str) -> list[Gpu]:
    """Parse what plain `nvidia-smi` prints: two lines per GPU, in which it cuts long names."""
    driver, cuda = (
        present(match[1]) if (match := head.search(text)) else None for head in (_DRIVER, _CUDA)
    )
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    processes = listed_in_table(text)
    gpus = []
    for first, second in pairwise(row for row in rows if len(row) == TABLE_CELLS):
        if name := _TABLED_NAME.fullmatch(first[1]):
            own = None if processes is None else processes.get(int(name[1]), ())
            gpu = replace(_tabled(first, second), name=name[2], driver=driver, cuda=cuda)
            gpus.append(bounded(replace(gpu, processes=own, users=_users(own))))
    return gpus


def _tabled(first: list[str], second: list[str]) -> Gpu:
    used, _, memory = second[2].rpartition("/")
    limit = present(second[1].rpartition("/")[2])
    return Gpu(
        memory_mb=mebibytes(present(memory)),
        no_memory=_NO_MEMORY.fullmatch(second[2]) is not None,
        used_mb=mebibytes(present(used)),
        power_limit_w=real(limit),
        display={"On": True, "Off": False}.get(first[2].rpartition(" ")[2]),
        celsius=real(heat[1]) if (heat := _HEAT.search(second[1])) else None,
        busy_percent=real(present(second[3].split("%")[0])) if "%" in second[3] else None,
    )


def parse_fields(text: str) -> frozenset[str]:
    """Names that `--help-query-gpu` lists: an unknown one makes the whole query fail."""
    lines = (line for line in text.splitlines() if line.startswith('"'))
    return frozenset(name for line in lines for name in re.findall(r'"([\w.]+)"', line))


def _queried(row: dict[str, str]) -> Gpu:
    gpu = Gpu(
        name=present(row.get("name")),
        memory_mb=mebibytes(present(row.get("memory.total"))),
        no_memory=_NO_MEMORY.fullmatch(row.get("memory.total", "").strip()) is not None,
        driver=present(row.get("driver_version")),
        compute_capability=present(row.get("compute_cap")),
        power_limit_w=real(present(row.get("power.limit"))),
        vbios=present(row.get("vbios_version")),
        celsius=real(present(row.get("temperature.gpu"))),
    )
    return bounded(gpu)


def _described(gpu: ET.Element, driver: str | None, cuda: str | None) -> Gpu:
    limits = (
        f"{part}/{tag}"
        for part in ("gpu_power_readings", "power_readings")
        for tag in ("current_power_limit", "enforced_power_limit", "power_limit")
    )
    total = gpu.findtext("fb_memory_usage/total", "").strip()
    processes = listed_in_xml(gpu)
    record = Gpu(
        name=_tag(gpu, "product_name"),
        memory_mb=mebibytes(present(total)),
        no_memory=_NO_MEMORY.fullmatch(total) is not None,
        described=True,
        used_mb=mebibytes(_tag(gpu, "fb_memory_usage/used")),
        driver=driver,
        cuda=cuda,
        power_limit_w=real(next(filter(None, (_tag(gpu, path) for path in limits)), None)),
        vbios=_tag(gpu, "vbios_version"),
        ecc=_SWITCH.get(_tag(gpu, "ecc_mode/current_ecc") or ""),
        mig=_SWITCH.get(_tag(gpu, "mig_mode/current_mig") or ""),
        mig_parts_mb=_parts_mb(gpu),
        pcie=_link(gpu),
        device=_board(gpu),
        display=_display(gpu),
        slowed=_slowed(gpu),
        celsius=real(_tag(gpu, "temperature/gpu_temp")),
        busy_percent=real(_tag(gpu, "utilization/gpu_util")),
        users=_users(processes),
        processes=processes,
    )
    return bounded(record)


def _parts_mb(gpu: ET.Element) -> tuple[int, ...]:
    parts = gpu.findall("mig_devices/mig_device")
    sizes = (mebibytes(_tag(part, "fb_memory_usage/total")) for part in parts)
    return tuple(size for size in sizes if size is not None)


def _link(gpu: ET.Element) -> str | None:
    generation = rounded(_tag(gpu, "pci/pci_gpu_link_info/pcie_gen/max_link_gen"))
    lanes = rounded(_tag(gpu, "pci/pci_gpu_link_info/link_widths/max_link_width"))
    return f"PCIe {generation} x{lanes}" if generation and lanes else None


def _board(gpu: ET.Element) -> str | None:
    parts = (_tag(gpu, "pci/pci_device_id"), _tag(gpu, "pci/pci_sub_system_id"))
    return " ".join(filter(None, parts)) or None


def _display(gpu: ET.Element) -> bool | None:
    """Attached, or drawn on; `display_mode` says what the driver allows, not what is there."""
    attached = {"Yes": True, "No": False}.get(_tag(gpu, "display_attached") or "")
    active = _SWITCH.get(_tag(gpu, "display_active") or "")
    return active if attached is None else attached or bool(active)


def _slowed(gpu: ET.Element) -> bool | None:
    """None where none is states, or one in a word that is not known."""
    states = [
        _tag(gpu, f"{group}/{group.removesuffix('s')}_{name}")
        for group in ("clocks_event_reasons", "clocks_throttle_reasons")
        for name in SLOWDOWNS
    ]
    known = [_SLOWED.get(value) for value in states if value is not None]
    if True in known:
        return True
    return False if known and None not in known else None


def _users(processes: Sequence[GpuProcess] | None) -> tuple[str, ...] | None:
    if processes is None:
        return None
    return tuple(process.name for process in processes if process.computes)


def _tag(element: ET.Element, path: str) -> str | None:
    return present(element.findtext(path))
