"""The advisor against a real Ollama: cache and weights as the engine's own log prints them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fleet.advisor.kv import cache_bytes
from fleet.advisor.metadata import from_show
from fleet.advisor.setup import Setup
from fleet.advisor.shape import ModelShape
from fleet.app.fit import shape_of
from fleet.app.model_heads import from_path
from fleet.units import MIB
from tests import ollama_server
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

PRINTED_MIB = 0.011
"""The log prints two digits after the point."""
MODELS = ("gpt-oss:20b", "tiny-llama")
BATCH = 256


@pytest.fixture(scope="module", params=["f16", "q8_0"])
def of_cache_type(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RealOllama, str]]:
    ollama_server.skip_or_fail()
    kind = str(request.param)
    folder = tmp_path_factory.mktemp(f"ollama-{kind}")
    with ollama_server.real_ollama(folder, variables={"OLLAMA_KV_CACHE_TYPE": kind}) as server:
        yield server, kind


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("context", [1024, 2048])
def test_the_cache_is_what_the_log_prints(
    of_cache_type: tuple[RealOllama, str], model: str, context: int
) -> None:
    server, kind = of_cache_type
    lines = loaded(server, model, context)
    shape = shape_from(server, model)
    setup = Setup(context=context, cache_type=kind, batch=BATCH)
    assert sum(sizes(lines, "KV buffer size")) == pytest.approx(
        cache_bytes(shape, setup) / MIB, abs=2 * PRINTED_MIB
    )


@pytest.mark.parametrize("model", MODELS)
def test_the_weights_are_what_the_log_prints(
    of_cache_type: tuple[RealOllama, str], model: str
) -> None:
    server, _ = of_cache_type
    lines = loaded(server, model, 1024)
    shape = shape_from(server, model)
    assert sum(sizes(lines, "model buffer size")) == pytest.approx(
        shape.weights.text_bytes / MIB, abs=2 * PRINTED_MIB
    )


@pytest.mark.parametrize("model", MODELS)
def test_file_and_engine_describe_the_same_model(
    of_cache_type: tuple[RealOllama, str], model: str
) -> None:
    server, _ = of_cache_type
    of_engine, of_file = shape_from(server, model), from_path(server.models[model])
    assert of_engine.weights == of_file.weights
    assert of_engine.layers == of_file.layers
    assert shape_of(model, server.base_url).weights == of_engine.weights


def shape_from(server: RealOllama, model: str) -> ModelShape:
    body = {"model": model, "verbose": True}
    reply = httpx.post(f"{server.base_url}/api/show", json=body, trust_env=False)
    return from_show(model, reply.json())


def loaded(server: RealOllama, model: str, context: int) -> list[str]:
    """The log lines of one fresh load."""
    call(server, {"model": model, "keep_alive": 0})
    before = len(log(server.log))
    options = {"num_ctx": context, "num_batch": BATCH, "num_thread": 1}
    call(server, {"model": model, "options": options})
    return log(server.log)[before:]


def call(server: RealOllama, body: dict[str, object]) -> None:
    reply = httpx.post(
        f"{server.base_url}/api/generate",
        json={"stream": False, **body},
        timeout=600,
        trust_env=False,
    )
    assert reply.status_code == httpx.codes.OK, reply.text


def log(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def sizes(lines: list[str], what: str) -> list[float]:
    """Every `... KV buffer size = 12.00 MiB` of these lines."""
    pattern = re.compile(rf"{what} =\s+([\d.]+) MiB")
    return [float(match[1]) for line in lines if (match := pattern.search(line))]
