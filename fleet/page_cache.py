"""Takes a file out of the operating system's memory, so that it is read from the disk again.

Linux lets every user who can read a file say that its pages are not needed (POSIX_FADV_DONTNEED),
and tells with RWF_NOWAIT whether a page is in memory. macOS has neither without root.
"""

from __future__ import annotations

import errno
import os

LOOKS = 8
"""Places of the file that are looked at; each may bring a little of it back into memory."""


def forget_file(path: str) -> bool:
    """True only if nothing of the file is in memory any more, as far as can be seen."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        size_bytes = os.fstat(file).st_size
        os.fsync(file)  # what is not on the disk yet cannot be left to it
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        places = (size_bytes * look // LOOKS for look in range(LOOKS))
        return size_bytes > 0 and not any(_in_memory(file, place) for place in places)
    except OSError:
        return False
    finally:
        os.close(file)


def _in_memory(file: int, offset_bytes: int) -> bool:
    """Raises OSError where the file system cannot tell."""
    try:
        os.preadv(file, [bytearray(1)], offset_bytes, os.RWF_NOWAIT)
    except OSError as problem:
        if problem.errno == errno.EAGAIN:
            return False
        raise
    return True
