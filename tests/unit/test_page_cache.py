"""A file leaves the memory of the operating system, or nobody says that it did."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from fleet import wiring
from fleet.model.experiment import OllamaEngine
from fleet.model.machine import ModelFacts
from fleet.page_cache import LOOKS, forget_file, forget_files

SIZE_BYTES = 8 * 2**20


def is_in_memory(path: Path, offset_bytes: int) -> bool:
    """Whether a byte can be read without the disk; OSError where the system does not tell."""
    with path.open("rb") as opened:
        try:
            return os.preadv(opened.fileno(), [bytearray(1)], offset_bytes, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(SIZE_BYTES))
    try:
        assert is_in_memory(path, 0)
    except (OSError, AttributeError) as problem:
        pytest.skip(f"this system does not tell what is in memory: {problem}")
    return path


def test_a_file_just_written_is_on_the_disk_alone_afterwards(file: Path) -> None:
    assert forget_file(str(file))
    assert not is_in_memory(file, SIZE_BYTES // LOOKS // 2)
    assert file.stat().st_size == SIZE_BYTES


def test_a_file_that_someone_holds_in_memory_is_not_called_gone(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as held:
        assert sum(held[at] for at in range(0, SIZE_BYTES, mmap.PAGESIZE))
        assert not forget_file(str(file))


@pytest.mark.parametrize("lacking", ["posix_fadvise", "RWF_NOWAIT"])
def test_a_system_that_cannot_forget_says_nothing_of_it(
    tmp_path: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    monkeypatch.delattr(os, lacking, raising=False)
    assert not forget_file(str(tmp_path / "weights"))


def test_files_are_gone_where_each_of_them_is(file: Path) -> None:
    other = file.with_name("more-weights")
    other.write_bytes(os.urandom(SIZE_BYTES))
    assert forget_files([str(file), str(other)])
    assert not any(is_in_memory(path, SIZE_BYTES // LOOKS // 2) for path in (file, other))
    missing = str(file.with_name("no"))
    assert not forget_files([missing, str(other)])
    assert not forget_files([str(other), missing])
    assert not forget_files([])


def test_the_machine_here_forgets_the_files_of_a_model(file: Path, tmp_path: Path) -> None:
    """One that is measured over the network has files elsewhere."""
    engine = OllamaEngine(kind="ollama")
    model = ModelFacts(name="m", digest="d", size_bytes=SIZE_BYTES, file=str(file))
    here = wiring.node(wiring.WorkerSpec(engine=engine, state=str(tmp_path)), tmp_path)
    away = wiring.WorkerSpec(engine=engine, name="box", state="", endpoint="http://127.0.0.1:9")
    assert not wiring.node(away, tmp_path).forget_model(model)
    assert is_in_memory(file, SIZE_BYTES // LOOKS // 2)
    assert here.forget_model(model)
    assert not is_in_memory(file, SIZE_BYTES // LOOKS // 2)


def test_what_is_not_there_or_empty_is_not_called_gone(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert not forget_file(str(tmp_path / "empty"))
    assert not forget_file(str(tmp_path / "no"))
    assert not forget_file(str(tmp_path))
