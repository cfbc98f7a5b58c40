"""Drop a file from the page cache of the operating system, so that it is read from disk again.

On Linux every user who can read a file may declare its pages unneeded (POSIX_FADV_DONTNEED), and
RWF_NOWAIT shows whether a page is in memory. macOS offers neither without root.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection

LOOKS = 8
"""Number of offsets that are checked; each check may bring a little of the file back to memory."""


def forget_files(paths: Collection[str]) -> bool:
    """Drop every file; return True only if there are some, and none is in memory any more."""
    gone = [forget_file(path) for path in paths]
    return bool(gone) and all(gone)


def forget_file(path: str) -> bool:
    """Return True only if none of the checked pages is in memory any more."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        size_bytes = os.fstat(file).st_size
        os.fsync(file)  # the kernel keeps pages that are not on the disk yet
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        offsets = (size_bytes * look // LOOKS for look in range(LOOKS))
        return size_bytes > 0 and not any(_in_memory(file, offset) for offset in offsets)
    except OSError:
        return False
    finally:
        os.close(file)


def _in_memory(file: int, offset_bytes: int) -> bool:
    """Tell whether a part of the file is in memory; raises OSError if the system cannot tell."""
    try:
        os.preadv(file, [bytearray(1)], offset_bytes, os.RWF_NOWAIT)
    except OSError as problem:
        if problem.errno == errno.EAGAIN:
            return False
        raise
    return True
