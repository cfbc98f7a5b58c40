"""Files that are there whole or not at all, also after a power cut; one writer at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fleet import durable
from fleet.durable import FileLock
from fleet.errors import StoreUnusable

STAGED_SUFFIX = ".part"
"""Never `.parquet`: a half-written file must not match the readers' `*.parquet`."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Whatever the file system refuses becomes a StoreUnusable that names folder and hint."""
    try:
        yield
    except OSError as problem:
        raise _unusable(folder, problem) from problem


def _unusable(folder: Path, problem: OSError) -> StoreUnusable:
    elsewhere = "choose another folder with --home"
    if problem.errno in _FULL:
        return StoreUnusable(
            f"no space left for results in {folder}; what was stored before is whole",
            f"see what is full: df -h {folder}; or {elsewhere}",
        )
    if problem.errno in _NO_LINKS:
        return StoreUnusable(f"{folder} lies on a file system without hard links", elsewhere)
    if problem.errno in _NOT_A_FOLDER:
        file = next((path for path in (folder, *folder.parents) if path.is_file()), folder)
        return StoreUnusable(f"{file} is a file, not a folder", elsewhere)
    reason = problem.strerror or str(problem)
    where = f" ({problem.filename})" if problem.filename else ""
    return StoreUnusable(
        f"results cannot be kept in {folder}: {reason}{where}",
        f"make it writable for you: ls -ld {folder}; or {elsewhere}",
    )


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the writers' lock; yield False without it where `wait` is false and it is taken.

    The kernel frees it when its holder dies.
    """
    lock = FileLock(path)
    try:
        yield lock.wait() if wait else lock.take()
    finally:
        lock.release()


def replace_text(path: Path, text: str) -> None:
    """Replace a file's text as a whole; do nothing where it is equal already."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    durable.replace(path, text.encode())


def publish(files: Mapping[Path, bytes], staging: Path) -> None:
    """Each file by link() after fsync, in order, the last one as the commit mark.

    To be called with the lock held and the last name absent. Others that are there come from a
    writer that died before its commit mark, and make way. Where it fails, nothing stays.
    """
    *before, mark = files
    staged = {path: staging / f"{n}{STAGED_SUFFIX}" for n, path in enumerate(files)}
    linked: list[Path] = []
    try:
        for path, content in files.items():
            durable.write_new(staged[path], content)
        _link(before, staged, linked)
        _link([mark], staged, linked)
    except OSError:
        for path in reversed(linked):
            with suppress(OSError):
                path.unlink()
        raise
    finally:
        for part in staged.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _link(paths: list[Path], staged: Mapping[Path, Path], linked: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        os.link(staged[path], path)
        linked.append(path)
    for folder in dict.fromkeys(path.parent for path in paths):
        durable.sync_folder(folder)
