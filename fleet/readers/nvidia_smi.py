"""`nvidia-smi --query-gpu=... --format=csv` and `nvidia-smi -q -x`.

Tag names moved between drivers and the schema number does not tell, so both are tried.
"""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from fleet.readers.text import one_space, real, rounded

QUERY = ("name", "memory.total", "driver_version", "compute_cap", "power.limit", "vbios_version")
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
    )


def _tag(element: ET.Element, path: str) -> str | None:
    return present(element.findtext(path))
