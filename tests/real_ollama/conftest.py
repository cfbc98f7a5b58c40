"""One real Ollama of each version for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.connection import Patience
from tests import ollama_server
from tests.ollama_server import RealOllama
from tests.tools.install_ollama import wanted_versions

VERSIONS = wanted_versions()


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: version.ollama)
def real_ollama(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealOllama]:
    ollama_server.skip_or_fail(request.param)
    folder = tmp_path_factory.mktemp("ollama")
    with ollama_server.real_ollama(folder, version=request.param) as server:
        yield server


@pytest.fixture
def engine(real_ollama: RealOllama) -> Ollama:
    """A tiny model answers at once: one that says nothing for so long has hung."""
    patience = Patience(first_byte_s=120.0)
    return Ollama(real_ollama.base_url, clock=SystemClock(), patience=patience)
