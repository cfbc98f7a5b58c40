"""`nvidia-smi --query-gpu=... --format=csv`, `nvidia-smi -q -x` and the table for people.

Tag names moved between drivers and the schema number does not tell, so both are tried.
"""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from itertools import pairwise

from fleet.readers.text import one_space, real, rounded

SLOWDOWNS = ("hw_slowdown", "hw_thermal_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown")
QUERY = (
    *("name", "memory.total", "driver_version", "compute_cap", "power.limit", "vbios_version"),
    "temperature.gpu",
)
TABLE_CELLS = 5
_TABLED_NAME = re.compile(r"\d{1,3}\s+(.+?)\s+(?:On|Off|N/A)", re.ASCII)
_HEAT = re.compile(r"\b(\d{1,3})C\b", re.ASCII)
_SWITCH = {"Enabled": True, "Disabled": False}
_ABSENT = re.compile(
    r"\[.*|N/A|Not Supported|Unknown Error|Insufficient Permissions|Requested functionality .*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU as nvidia-smi reports it; memory in MiB, power in watts."""

    name: str | None = None
    memory_mb: int | None = None
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
        log = ET.fromstring(text)
    except (ET.ParseError, ValueError):
        return []
    driver, cuda = _tag(log, "driver_version"), _tag(log, "cuda_version")
    return [_described(gpu, driver, cuda) for gpu in log.findall("gpu")]


def parse_table(text: str) -> list[Gpu]:
    """What `nvidia-smi` alone prints: two lines per GPU; a long name is cut by the tool."""
    head = re.search(r"Driver Version: (\S+)\s+CUDA Version: (\S+)", text)
    driver, cuda = (present(head[1]), present(head[2])) if head else (None, None)
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return [
        _tabled(name[1], first, second, driver, cuda)
        for first, second in pairwise(row for row in rows if len(row) == TABLE_CELLS)
        if (name := _TABLED_NAME.fullmatch(first[1]))
    ]


def _tabled(
    name: str, first: list[str], second: list[str], driver: str | None, cuda: str | None
) -> Gpu:
    memory = present(second[2].rpartition("/")[2])
    limit = present(second[1].rpartition("/")[2])
    return Gpu(
        name=name,
        memory_mb=rounded(memory),
        driver=driver,
        cuda=cuda,
        power_limit_w=real(limit),
        display={"On": True, "Off": False}.get(first[2].rpartition(" ")[2]),
        celsius=real(heat[1]) if (heat := _HEAT.search(second[1])) else None,
        busy_percent=real(present(second[3].split("%")[0])) if "%" in second[3] else None,
    )


def parse_fields(text: str) -> frozenset[str]:
    """Names that `--help-query-gpu` lists: an unknown one makes the whole query fail."""
    lines = (line for line in text.splitlines() if line.startswith('"'))
    return frozenset(name for line in lines for name in re.findall(r'"([\w.]+)"', line))


def present(text: str | None) -> str | None:
    """The value; None for every way in which nvidia-smi says that there is none."""
    value = one_space(text)
    return None if value is None or _ABSENT.fullmatch(value) else value


def _queried(row: dict[str, str]) -> Gpu:
    return Gpu(
        name=present(row.get("name")),
        memory_mb=rounded(present(row.get("memory.total"))),
        driver=present(row.get("driver_version")),
        compute_capability=present(row.get("compute_cap")),
        power_limit_w=real(present(row.get("power.limit"))),
        vbios=present(row.get("vbios_version")),
        celsius=real(present(row.get("temperature.gpu"))),
    )


def _described(gpu: ET.Element, driver: str | None, cuda: str | None) -> Gpu:
    limits = (
        f"{part}/{tag}"
        for part in ("gpu_power_readings", "power_readings")
        for tag in ("current_power_limit", "enforced_power_limit", "power_limit")
    )
    return Gpu(
        name=_tag(gpu, "product_name"),
        memory_mb=rounded(_tag(gpu, "fb_memory_usage/total")),
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
        users=_users(gpu),
    )


def _parts_mb(gpu: ET.Element) -> tuple[int, ...]:
    parts = gpu.findall("mig_devices/mig_device")
    sizes = (rounded(_tag(part, "fb_memory_usage/total")) for part in parts)
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
    told = [
        _tag(gpu, f"{group}/{group.removesuffix('s')}_{name}")
        for group in ("clocks_event_reasons", "clocks_throttle_reasons")
        for name in SLOWDOWNS
    ]
    known = [value == "Active" for value in told if value is not None]
    return any(known) if known else None


def _users(gpu: ET.Element) -> tuple[str, ...] | None:
    """None where the driver lists none (`N/A` in some guests) or no list is there."""
    listed = gpu.find("processes")
    if listed is None or (listed.text or "").strip():
        return None
    computing = (p for p in listed.findall("process_info") if "C" in (_tag(p, "type") or ""))
    return tuple(_tag(process, "process_name") or "unknown" for process in computing)


def _tag(element: ET.Element, path: str) -> str | None:
    return present(element.findtext(path))
