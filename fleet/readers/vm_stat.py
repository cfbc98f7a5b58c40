"""`vm_stat` of macOS."""

from __future__ import annotations

import re

from fleet.model.quantities import MEMORY_BYTES
from fleet.readers.text import pairs, whole


def parse_vm_stat(text: str) -> dict[str, int]:
    """Bytes by the names printed; the page size is in the head line, never a constant."""
    head = re.search(r"page size of (\d{1,9}) bytes", text, re.ASCII)
    size = int(head[1]) if head else None
    counts = ((key, whole(value.removesuffix("."))) for key, value in pairs(text, ":"))
    known = {key: count for key, count in counts if count is not None}
    sizes = {} if size is None else {key: count * size for key, count in known.items()}
    return {key: value for key, value in sizes.items() if not MEMORY_BYTES.problem(value)}
