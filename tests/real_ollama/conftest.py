"""One real Ollama for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from tests import ollama_server
from tests.ollama_server import RealOllama


@pytest.fixture(scope="session")
def real_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    ollama_server.skip_or_fail()
    with ollama_server.real_ollama(tmp_path_factory.mktemp("ollama")) as server:
        yield server


@pytest.fixture
def engine(real_ollama: RealOllama) -> Ollama:
    return Ollama(real_ollama.base_url, clock=SystemClock())
