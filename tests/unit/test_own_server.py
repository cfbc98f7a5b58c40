"""Where an Ollama of fleet's own finds the models of the owner's."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama.own_server import OwnServers


def servers(folder: Path) -> OwnServers:
    program = folder / "bin" / "ollama"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    environment = {"PATH": str(program.parent), "OLLAMA_MODELS": str(folder / "models")}
    return OwnServers(environment, folder / "log", SystemClock(), list)


@pytest.mark.parametrize("layout", ["manifests", "manifests-v2"])
def test_the_folder_of_models_is_known_by_its_manifests(tmp_path: Path, layout: str) -> None:
    own = servers(tmp_path)
    assert "cannot be read" in own.refusal()
    (tmp_path / "models" / layout).mkdir(parents=True)
    assert own.refusal() == ""
