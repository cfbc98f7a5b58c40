"""The GPU limits to *expect* of a Mac whose `iogpu.wired_limit_mb` is 0, in MiB.

They changed with a release of macOS, so they are hints for people and plans, never the limit in
force: a machine that can be asked is always asked.
"""

from __future__ import annotations

PRINTED_TO_MB = 52
"""Ollama's log rounds a limit to a tenth of a GiB: so far it may be from the exact one."""
TO_MACOS_15_MIB = {
    16: 10922,
    24: 16384,
    32: 21845,
    64: 49152,
    96: 73728,
    128: 98304,
    192: 147456,
    256: 212992,
    512: 475136,
}
MACOS_26_MIB = {
    8: 5461,
    16: 12124,
    24: 18186,
    32: 25559,
    36: 28753,
    48: 38338,
    64: 53084,
    96: 79626,
    128: 110100,
}


def expected_gpu_limit_mb(memory_gb: int | None, macos_version: str | None) -> int | None:
    """MiB seen as default on such Macs; None where none was seen."""
    major = (macos_version or "").split(".")[0]
    if memory_gb is None or not major.isascii() or not major.isdigit():
        return None
    if int(major[:4]) <= 15:
        return TO_MACOS_15_MIB.get(memory_gb)
    return MACOS_26_MIB.get(memory_gb) if major == "26" else None
