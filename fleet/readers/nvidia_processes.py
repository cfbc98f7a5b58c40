"""Programs that hold a GPU's memory, of `nvidia-smi -q -x` and of its table for people."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import mebibytes, one_space, whole

UNNAMED = "unknown"
_HEADING = re.compile(r"^\| Processes:", re.MULTILINE)
_NONE = "No running processes found"
_LINE = re.compile(
    r"\|\s+(\d{1,3})\s+(?:\S+\s+\S+\s+)?(\d{1,10})\s+((?:M\+)?[CG](?:\+[CG])?)\s+(.*?)\s+"
    r"(\d{1,9} ?MiB|N/A|\[N/A\])\s*\|",
    re.ASCII,
)
_ABOUT_A_GPU = re.compile(r"\|\s+\d{1,3}\s", re.ASCII)
_ABSENT = re.compile(
    r"\[.*|N/A|Not Supported|Unknown Error|ERR!|Insufficient Permissions"
    r"|Requested functionality .*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess(Record):
    """One program on one GPU; `used_mb` None: the driver does not say how much it holds."""

    pid: int | None
    name: str
    """A path, and in some drivers arguments behind it: to be shortened before it is shown."""
    used_mb: int | None
    computes: bool = True


def present(text: str | None) -> str | None:
    """Return the value; None for every way in which nvidia-smi says that there is none."""
    value = one_space(text)
    return None if value is None or _ABSENT.fullmatch(value) else value


def listed_in_xml(gpu: ET.Element) -> tuple[GpuProcess, ...] | None:
    """None where the driver lists none (`N/A` in some guests) or no list is there."""
    listed = gpu.find("processes")
    if listed is None or (listed.text or "").strip():
        return None
    words = ("pid", "process_name", "used_memory", "type")
    return tuple(
        _process(*(each.findtext(word, "") for word in words))
        for each in listed.findall("process_info")
    )


def listed_in_table(text: str) -> dict[int, tuple[GpuProcess, ...]] | None:
    """By number of the GPU; None where there is no list, or a line of it is not understood."""
    heading = _HEADING.search(text)
    if heading is None:
        return None
    lines = [line for line in text[heading.end() :].splitlines() if _ABOUT_A_GPU.match(line)]
    matches = [match for match in map(_LINE.fullmatch, map(str.strip, lines)) if match]
    if len(matches) < len(lines) or not (matches or _NONE in text):
        return None
    by_gpu: dict[int, tuple[GpuProcess, ...]] = {}
    for match in matches:
        process = _process(match[2], match[4], match[5], match[3])
        by_gpu[int(match[1])] = (*by_gpu.get(int(match[1]), ()), process)
    return by_gpu


def _process(pid: str, name: str, used: str, kind: str) -> GpuProcess:
    process = GpuProcess(
        pid=whole(present(pid)),
        name=present(name) or UNNAMED,
        used_mb=mebibytes(present(used)),
        computes="C" in (present(kind) or "C"),
    )
    return bounded(process)
