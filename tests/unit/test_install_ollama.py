"""The installer of the real Ollama, without building one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.tools import install_ollama as installer


def _finished(room: Path) -> Path:
    program = room / "out" / "bin" / "ollama"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return room / "out"


def test_it_is_built_once_also_if_two_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: list[Path] = []

    def build(_: installer.Version, room: Path) -> Path:
        rooms.append(room)
        return _finished(room)

    monkeypatch.setattr(installer, "_build", build)
    threads = [
        threading.Thread(target=installer.install, args=(installer.NEWEST, tmp_path))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rooms) == 1
    assert installer.find(installer.NEWEST, tmp_path) == tmp_path / "ollama-0.34.4-b11076"
    assert not rooms[0].exists()


def test_half_a_build_is_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: installer.Version, room: Path) -> Path:
        _finished(room)
        raise installer.CannotBuild("the disk is full")

    monkeypatch.setattr(installer, "_build", breaks)
    assert installer.main([str(tmp_path)]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_without_a_compiler_it_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installer.main([str(tmp_path)]) == 3
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "compiler" in said.err


def test_a_step_that_fails_is_named_with_its_last_line() -> None:
    command = ["sh", "-c", "echo first; echo the reason; exit 1"]
    with pytest.raises(installer.CannotBuild, match=r"compiling failed: the reason$"):
        installer.run_step(command, "compiling")


def test_find_only_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert installer.main(["--find", str(tmp_path / "none")]) == 1
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()
