"""Write files that are complete or absent, and lock files until the holder ends.

No other module of fleet writes a file that must last, or locks one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from pathlib import Path

from fleet.errors import UserError
from fleet.ports import Stop

POLL_S = 0.25
LONGEST_NOTE_BYTES = 4096
FOR_ALL_USERS = 0o666


def write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that does not exist yet; it is on disk on return.

    A failure leaves nothing behind. Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file: readers see the old one or the new one, never a part of it.

    Name and content are on disk on return. Raises OSError.
    """
    draft = _draft(path)
    write_new(draft, content, mode)
    _take_its_place(draft, path)


def replace_by(path: Path, draft: Path) -> None:
    """Replace a file by one that a library has written beside it."""
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _take_its_place(draft, path)


def create(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Create a complete file; return False if another process has created it first."""
    draft = _draft(path)
    write_new(draft, content, mode)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    sync_folder(path.parent)
    return True


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents, which nobody but this user may enter.

    A folder that exists keeps its mode: its owner may share it.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path) -> Path:
    """Return a name beside the file, with a suffix that nobody reads."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")


def _take_its_place(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


class FileLock:
    """A lock on a file; the kernel frees it when its holder dies."""

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        """Open the file; raise UserError if it is a link or has a second name; raise OSError."""
        self._handle = _opened(path, mode)

    def take(self) -> bool:
        """Take the lock without waiting; return whether it is held now."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, stop: Stop | None = None) -> bool:
        """Wait for the lock; return False if `stop` came first."""
        if stop is None:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            return True
        while not stop.is_set():
            if self.take():
                return True
            stop.wait(POLL_S)
        return False

    def note(self, text: str) -> None:
        """Write a note for the next holder, which stays when this holder dies."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)

    def noted(self) -> str:
        """Return the note of the last holder."""
        return os.pread(self._handle, LONGEST_NOTE_BYTES, 0).decode(errors="replace")

    def release(self) -> None:
        """Free the lock."""
        os.close(self._handle)


def _opened(path: Path, mode: int) -> int:
    """Open the file without O_CREAT first.

    In a folder for all users, Linux refuses O_CREAT on a file that another user owns.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        try:
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            os.fchmod(handle, mode)  # the umask must not restrict it
        except FileExistsError:
            handle = os.open(path, flags)
    except OSError as problem:
        if path.is_symlink():
            raise _no_lock(path, "it is a link") from problem
        raise
    seen = os.fstat(handle)
    if not stat.S_ISREG(seen.st_mode) or seen.st_nlink > 1:
        os.close(handle)
        raise _no_lock(path, "it is not a regular file with a single name")
    return handle


def _no_lock(path: Path, why: str) -> UserError:
    return UserError(f"{path}: this file cannot be a lock: {why}", f"remove it: rm {path}")
