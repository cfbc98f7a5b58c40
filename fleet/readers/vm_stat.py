"""`vm_stat` and `memory_pressure -Q` of macOS."""

from __future__ import annotations

import re

from fleet.readers.text import pairs, real, whole


def parse_vm_stat(text: str) -> dict[str, int]:
    """Bytes by the names printed; the page size is in the head line, never a constant."""
    head = re.search(r"page size of (\d{1,9}) bytes", text, re.ASCII)
    size = int(head[1]) if head else None
    counts = ((key, whole(value.removesuffix("."))) for key, value in pairs(text, ":"))
    known = {key: count for key, count in counts if count is not None}
    return {} if size is None else {key: count * size for key, count in known.items()}


def parse_free_percent(text: str) -> float | None:
    """Of `System-wide memory free percentage: 42%`."""
    found = re.search(r"memory free percentage:\s*([\d.]+)%", text, re.ASCII)
    return real(found[1]) if found else None
