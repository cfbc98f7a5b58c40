"""Files that are whole or not there, and locks that end with their holder. Nothing else of fleet
writes a file that must last, or locks one."""

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
    """Write a file that is not there yet; it is on the disk when this returns.

    Nothing is left where it fails. Raises OSError.
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
    """Put a file in the place of another: readers see the old one or the new one, never a part.

    Name and content are on the disk when this returns. Raises OSError.
    """
    draft = _draft(path)
    write_new(draft, content, mode)
    _take_its_place(draft, path)


def replace_by(path: Path, draft: Path) -> None:
    """The same with a file that a library has written beside it."""
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _take_its_place(draft, path)


def create(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Make a file whole, or leave the one that another process has just made: then False."""
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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files they name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path) -> Path:
    """Its ending is that of no file that anybody reads."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")


def _take_its_place(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


class FileLock:
    """A lock on a file, which the kernel frees when its holder dies."""

    def __init__(self, path: Path, mode: int = 0o644) -> None:
        """Raises UserError for a file that is a link or has a second name; OSError."""
        self._handle = _opened(path, mode)

    def take(self) -> bool:
        """Whether it is held now; does not wait."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def wait(self, stop: Stop | None = None) -> bool:
        """True once it is held; False where `stop` came first."""
        if stop is None:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            return True
        while not stop.is_set():
            if self.take():
                return True
            stop.wait(POLL_S)
        return False

    def note(self, text: str) -> None:
        """Stays where it is when its holder dies; whoever holds the lock next can read it."""
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, text.encode(), 0)

    def noted(self) -> str:
        return os.pread(self._handle, LONGEST_NOTE_BYTES, 0).decode(errors="replace")

    def release(self) -> None:
        os.close(self._handle)


def _opened(path: Path, mode: int) -> int:
    """Linux lets nobody create a file of another user's in a folder for all, only open it."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        try:
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            os.fchmod(handle, mode)  # whatever the umask says
        except FileExistsError:
            handle = os.open(path, flags)
    except OSError as problem:
        if path.is_symlink():
            raise _no_lock(path, "it is a link") from problem
        raise
    seen = os.fstat(handle)
    if not stat.S_ISREG(seen.st_mode) or seen.st_nlink > 1:
        os.close(handle)
        raise _no_lock(path, "it is no file of its own")
    return handle


def _no_lock(path: Path, why: str) -> UserError:
    return UserError(f"{path}: no lock of fleet, {why}", f"remove it: rm {path}")
