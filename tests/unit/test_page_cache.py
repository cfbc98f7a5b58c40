"""A file leaves the memory of the operating system, or nobody says that it did."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from fleet.page_cache import LOOKS, _in_memory, forget_file

SIZE_BYTES = 8 * 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(SIZE_BYTES))
    with path.open("rb") as opened:
        try:
            assert _in_memory(opened.fileno(), 0)
        except (OSError, AttributeError) as problem:
            pytest.skip(f"this system does not tell what is in memory: {problem}")
    return path


def test_a_file_just_written_is_on_the_disk_alone_afterwards(file: Path) -> None:
    assert forget_file(str(file))
    with file.open("rb") as opened:
        assert not _in_memory(opened.fileno(), SIZE_BYTES // LOOKS // 2)
    assert file.stat().st_size == SIZE_BYTES


def test_a_file_that_someone_holds_in_memory_is_not_called_gone(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as held:
        assert sum(held[at] for at in range(0, SIZE_BYTES, mmap.PAGESIZE))
        assert not forget_file(str(file))


def test_what_is_not_there_or_empty_is_not_called_gone(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert not forget_file(str(tmp_path / "empty"))
    assert not forget_file(str(tmp_path / "no"))
    assert not forget_file(str(tmp_path))
