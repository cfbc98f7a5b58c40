"""What Metal lets a GPU use, as llama.cpp and MLX print it.

llama.cpp means decimal megabytes since 2023 (`115448.73 MB` is 110100 MiB), its list of devices
MiB, MLX bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, real, whole
from fleet.units import MIB

_WORKING_SET = re.compile(r"recommendedMaxWorkingSetSize\s*=\s*([\d.]+) MB", re.ASCII)
_NAME = re.compile(r"GPU name:\s*(?:MTL\d+ \()?([^()\n]+)")
_FAMILY = re.compile(r"MTLGPUFamilyMetal(\d{1,3})\b", re.ASCII)
_DEVICE = re.compile(r"^\s*(\w+): (.+) \((\d+) MiB, \d+ MiB free\)\s*$", re.ASCII | re.MULTILINE)
_FIELD = re.compile(r"""["'](\w+)["']\s*:\s*(?:["']([^"'\n]*)["']|(\d+))""", re.ASCII)
HALF_A_DIGIT_MB = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class MetalDevice(Record):
    """`limit_mb`: MiB that the GPU may use, the limit in force."""

    name: str | None = None
    limit_mb: int | None = None
    memory_mb: int | None = None
    """MiB of the machine."""
    metal_version: int | None = None


def parse_llama_cpp(text: str) -> MetalDevice:
    """Start-up lines or the list of devices; the last told counts: a log has several starts.

    Of both, the list is exact: the start-up line is rounded to 0.01 MB.
    """
    listed = [device for device in _DEVICE.findall(text) if device[0].startswith(("MTL", "Metal"))]
    names = [one_space(name) for name in _NAME.findall(text)]
    sizes = [size for size in map(real, _WORKING_SET.findall(text)) if size is not None]
    families = [whole(number) for number in _FAMILY.findall(text)]
    limit_mb = int((sizes[-1] + HALF_A_DIGIT_MB) * 1e6 / MIB) if sizes else None
    device = MetalDevice(
        name=one_space(listed[-1][1]) if listed else next(reversed(names), None),
        limit_mb=whole(listed[-1][2]) if listed else limit_mb,
        metal_version=next(reversed(families), None),
    )
    return bounded(device)


def parse_mlx(text: str) -> MetalDevice:
    """`mlx.core.metal.device_info()` as JSON or as Python prints it, whatever stands around it."""
    fields = {key: string or number for key, string, number in _FIELD.findall(text)}
    device = MetalDevice(
        name=one_space(fields.get("device_name")),
        limit_mb=_mib(fields.get("max_recommended_working_set_size")),
        memory_mb=_mib(fields.get("memory_size")),
    )
    return bounded(device)


def _mib(text: str | None) -> int | None:
    size_bytes = whole(text)
    return None if size_bytes is None else size_bytes // MIB
