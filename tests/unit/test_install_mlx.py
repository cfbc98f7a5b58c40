"""The installer of the MLX engine, without building one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import install_mlx, install_ollama
from tests.tools.install_ollama import NEWEST, CannotBuild


def _ollama(cache: Path) -> None:
    program = cache / NEWEST.folder_name / "bin" / "ollama"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def test_without_the_ollama_it_says_what_to_build_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install_mlx.main([str(tmp_path)]) == 3
    reason = capsys.readouterr().err
    assert reason.count("\n") == 1
    assert "install_ollama.py builds it" in reason


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ollama(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotBuild, match=r"no g\+\+: install g\+\+ 12 or newer"):
        install_mlx.install(NEWEST, tmp_path)


def test_half_a_build_is_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ollama(tmp_path)

    def fail(_ollama: Path, room: Path) -> Path:
        (room / "half").touch()
        raise CannotBuild("the disk is full")

    monkeypatch.setattr(install_mlx, "_assembled", fail)
    with pytest.raises(CannotBuild):
        install_mlx.install(NEWEST, tmp_path)
    assert install_mlx.find(NEWEST, tmp_path) is None
    assert not list(tmp_path.glob("build-mlx.*"))


def test_find_only_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install_mlx.main(["--find", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []
    assert install_ollama.NEWEST.folder_name in capsys.readouterr().out
