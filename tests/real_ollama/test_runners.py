"""Both runners of a real Ollama: what it says of a model, what its clocks hold, what fleet makes
of them. The twin has the weights of the GGUF, so both write the same text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.model_files import files_of
from fleet.model.experiment import OllamaEngine
from fleet.model.job import Job, Point
from fleet.model.machine import Fingerprint
from fleet.model.measure import Ask, Reply
from fleet.model.ollama_versions import TELLS_CACHED, version_of
from fleet.query.open_store import open_store, rows
from fleet.readers.ollama_log import parse_serve_log
from fleet.runner.trial import run_trial
from fleet.runner.trial_ports import TrialPorts
from fleet.store.parquet import ParquetStore
from tests import builders, ollama_server
from tests.ollama_server import MLX_MODELS, RealOllama
from tests.tools.install_mlx import MLX
from tests.tools.install_ollama import wanted_versions

pytestmark = pytest.mark.real_ollama

GGUF, TWIN, DRAFTS = MLX_MODELS
LOAD = {"num_ctx": 4096, "num_batch": 512, "num_thread": 1}
FOUND = Fingerprint(facts=(), hardware_id="h", software_id="s", condition_id="c")


@pytest.fixture(scope="module", params=wanted_versions(), ids=lambda version: version.ollama)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealOllama]:
    ollama_server.skip_or_fail(request.param, mlx=True)
    folder = tmp_path_factory.mktemp("runners")
    with ollama_server.real_ollama(folder, MLX_MODELS, version=request.param) as server:
        yield server


@pytest.fixture
def engine(server: RealOllama) -> Ollama:
    return Ollama(server.base_url, clock=SystemClock())


def answer(engine: Ollama, model: str, prompt: str, tokens: int) -> Reply:
    options = {**LOAD, "temperature": 0.0, "repeat_penalty": 1.0, "seed": 1, "num_predict": tokens}
    ask = Ask(model=model, api="generate", prompt=prompt, options=options, keep_text=True)
    reply = engine.ask(ask, threading.Event())
    assert (reply.error, reply.done_reason) == (None, "length")
    return reply


def test_what_it_says_of_its_models(engine: Ollama) -> None:
    gguf, twin, drafts = (engine.describe(name) for name in MLX_MODELS)
    assert (gguf.model_format, gguf.quantization, gguf.drafts) == ("gguf", "F16", "no")
    assert (twin.model_format, twin.quantization, twin.drafts) == ("safetensors", "float32", "no")
    assert (drafts.model_format, drafts.drafts) == ("safetensors", "yes")
    assert gguf.bits_per_weight == pytest.approx(16, abs=0.1)
    assert (twin.bits_per_weight, drafts.bits_per_weight) == (32, 32)
    # Of the twins one has four bytes for a weight and the other two, but for its norms.
    assert twin.active_bytes is not None
    assert gguf.active_bytes is not None
    assert twin.active_bytes == pytest.approx(2 * gguf.active_bytes, rel=0.01)


def test_the_twins_write_the_same_and_time_other_steps(engine: Ollama) -> None:
    """One token: llama-server has timed it with the prompt, MLX with the output."""
    prompts = (" the of and to in", " is that it was for on are")
    gguf, twin = ([answer(engine, name, p, 16) for p in prompts] for name in (GGUF, TWIN))
    assert [reply.text for reply in gguf] == [reply.text for reply in twin]
    assert [reply.prompt_tokens for reply in gguf] == [reply.prompt_tokens for reply in twin]
    ones = [answer(engine, name, " as with his they", 1) for name in (GGUF, TWIN)]
    assert [reply.output_tokens for reply in ones] == [1, 1]
    of_gguf, of_mlx = (reply.output_ns or 0 for reply in ones)
    assert of_gguf < 100_000 < of_mlx, "a step of either takes half a millisecond at least"


def test_cached_tokens_are_known_where_the_version_tells_them(
    engine: Ollama, server: RealOllama
) -> None:
    tells = (version_of(server.version.ollama) or ()) >= TELLS_CACHED
    for name in MLX_MODELS:
        engine.load(name, LOAD)
        first, again = (answer(engine, name, " at be this have from or one", 4) for _ in range(2))
        assert first.cached_tokens in ((0, 1) if tells else (None,))
        assert again.prompt_tokens is not None
        assert again.cached_tokens == (again.prompt_tokens - 1 if tells else None)
        engine.unload(name)


def test_the_files_of_a_model_are_its_weights(engine: Ollama, server: RealOllama) -> None:
    """One blob of a GGUF, and of a model for MLX one for each tensor, by its manifest."""
    for name in MLX_MODELS:
        model = engine.describe(name)
        files = [Path(file) for file in files_of(model, server.environment)]
        assert model.tensors_bytes is not None
        assert sum(file.stat().st_size for file in files) >= model.tensors_bytes
        assert (len(files) == 1) == (name == GGUF)
        assert files_of(replace(model, file=None, digest="0" * 64), server.environment) == []


def test_its_log_tells_of_mlx(engine: Ollama, server: RealOllama) -> None:
    answer(engine, TWIN, " the of", 1)
    told = parse_serve_log(server.log.read_text()).mlx
    assert (told.version, told.device, told.draft_acceptance) == (MLX, "cpu", None)
    answer(engine, DRAFTS, " the of", 64)
    engine.unload(DRAFTS)
    assert parse_serve_log(server.log.read_text()).mlx.draft_acceptance == 1.0


@pytest.mark.parametrize("model", MLX_MODELS)
def test_a_trial_has_its_rates_and_no_flag(
    server: RealOllama, engine: Ollama, tmp_path: Path, model: str
) -> None:
    """An answer of one token and one of 128, on each runner, with drafts and without."""
    points = (Point(prompt_tokens=513, output_tokens=1), Point(output_tokens=128, prompt_tokens=16))
    job = Job(name="exact", api="generate", points=points, requests=2, warmup=1)
    asked = {**LOAD, "temperature": 0.0, "repeat_penalty": 1.0}
    ports = TrialPorts(engine, lambda: FOUND, SystemClock(), threading.Event())
    ollama = OllamaEngine(kind="ollama")
    attempt = builders.attempt(job=job, model=model, settings=asked, engine=ollama)
    result = run_trial(attempt, ports)
    assert (result.outcome, result.detail) == ("ok", "")
    ParquetStore(tmp_path).write(result)
    with closing(open_store([tmp_path])) as con:
        requests = rows(con, "from requests_flagged where not warmup")
        cells = {str(row["point"]): row for row in rows(con, "from cells")}
    assert [row["invalid"] for row in requests] == [""] * 4
    reads, writes = (cells[point.name("exact")] for point in points)
    assert reads["prefill_tokens_per_s"] is not None
    assert writes["decode_tokens_per_s"] is not None
    facts = [writes[name] for name in ("model_format", "runner", "drafts")]
    assert (
        facts
        == {
            GGUF: ["gguf", "llama-server", "no"],
            TWIN: ["safetensors", "mlx", "no"],
            DRAFTS: ["safetensors", "mlx", "yes"],
        }[model]
    )
    drafting = model == DRAFTS
    assert (writes["tokens_per_round"] is not None) == drafting
    assert (writes["client_decode_tokens_per_s"] is None) == drafting
    print(f"{server.version.ollama} {model}: {_rates(writes)}")


def _rates(cell: dict[str, Any]) -> str:
    names = ("decode_tokens_per_s", "client_decode_tokens_per_s", "tokens_per_round")
    return ", ".join(f"{name} {cell[name]}" for name in names)
