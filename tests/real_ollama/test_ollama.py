"""What only a real Ollama can show: one load for all, exact weights, a runner that dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gguf
import httpx
import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.errors import Interrupted, ModelMissing, RequestRefused
from fleet.model.measure import Ask, Reply
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

LOAD = {"num_ctx": 2048, "num_batch": 256, "num_thread": 1}
NEVER = threading.Event()
HARMONY, PLAIN = "gpt-oss:20b", "tiny-llama"


def _ask(model: str = PLAIN, tokens: int = 16, **changes: Any) -> Ask:
    options = {**LOAD, "temperature": 0.0, "repeat_penalty": 1.0, "seed": 1, "num_predict": tokens}
    plain = Ask(model=model, api="generate", prompt=" the of and to in is", options=options)
    return replace(plain, **changes)


def _acting(server: RealOllama, act: Callable[[], None]) -> Ollama:
    """An engine that acts in mid-answer: when its clock has stamped twenty pieces."""

    class ActingClock(SystemClock):
        calls = 0

        def monotonic_ns(self) -> int:
            self.calls += 1
            if self.calls == 20:
                act()
            return super().monotonic_ns()

    return Ollama(server.base_url, clock=ActingClock())


def _answer(engine: Ollama, ask: Ask) -> Reply:
    reply = engine.ask(ask, NEVER)
    assert reply.error is None
    return reply


def test_version_is_the_one_that_was_built(engine: Ollama, real_ollama: RealOllama) -> None:
    assert engine.facts().version == real_ollama.version.ollama


def test_requests_use_the_load_that_was_made_for_them(
    engine: Ollama, real_ollama: RealOllama
) -> None:
    """Another option or field than at the load would start a new runner, in the timed path."""
    engine.load(PLAIN, LOAD)
    before = real_ollama.runners()
    assert len(before) == 1
    chat = _ask(api="chat", system="Be short.", prompt="why")
    replies = [_answer(engine, ask) for ask in (_ask(), chat, _ask(tokens=1))]
    assert real_ollama.runners() == before
    assert max(reply.load_ns or 0 for reply in replies) < 100e6
    engine.load(PLAIN, {**LOAD, "num_ctx": 1024})
    assert real_ollama.runners() != before, "the check above cannot see a load"
    engine.unload(PLAIN)


def test_unload_returns_when_the_process_is_gone(engine: Ollama, real_ollama: RealOllama) -> None:
    engine.load(PLAIN, LOAD)
    assert real_ollama.runners()
    engine.unload(PLAIN)
    assert real_ollama.runners() == []
    assert engine.placement(PLAIN) is None


def test_weights_are_exact(engine: Ollama, real_ollama: RealOllama) -> None:
    for name, architecture, quantization in (
        (HARMONY, "gpt-oss", "MXFP4"),
        (PLAIN, "llama", "F16"),
    ):
        facts = engine.describe(name)
        tensors = gguf.GGUFReader(real_ollama.models[name]).tensors
        assert facts.tensors_bytes == sum(int(tensor.n_bytes) for tensor in tensors)
        assert facts.parameters == sum(int(tensor.n_elements) for tensor in tensors)
        assert (facts.architecture, facts.quantization) == (architecture, quantization)
        assert facts.context_length
        assert facts.size_bytes > facts.tensors_bytes


def test_the_server_and_the_client_saw_the_same_request(engine: Ollama) -> None:
    engine.load(HARMONY, LOAD)
    reply = _answer(engine, _ask(HARMONY, tokens=64))
    engine.unload(HARMONY)
    assert reply.server_first_unix_ns is not None
    assert reply.server_final_unix_ns is not None
    assert reply.first_chunk_ns is not None
    assert reply.total_ns is not None
    server_ns = reply.server_final_unix_ns - reply.server_first_unix_ns
    assert server_ns == pytest.approx(reply.ended_ns - reply.first_chunk_ns, rel=0.5)
    assert reply.total_ns <= reply.ended_ns - reply.sent_ns
    assert reply.output_ns is not None
    assert reply.output_ns <= reply.total_ns


def test_a_prompt_too_long_is_refused_not_cut(engine: Ollama) -> None:
    engine.load(PLAIN, {**LOAD, "num_ctx": 256})
    ask = _ask(prompt=" the of and to" * 100)
    reply = engine.ask(replace(ask, options={**ask.options, "num_ctx": 256}), NEVER)
    engine.unload(PLAIN)
    assert reply.error_reason == RequestRefused.reason
    assert "exceeds the available context size" in (reply.error or "")


def test_an_unknown_model_is_missing_in_every_call(engine: Ollama) -> None:
    assert engine.ask(_ask("nobody"), NEVER).error_reason == ModelMissing.reason
    with pytest.raises(ModelMissing, match="ollama pull nobody"):
        engine.load("nobody", LOAD)
    engine.unload("nobody")


def test_a_bad_option_is_refused(engine: Ollama) -> None:
    ask = _ask()
    reply = engine.ask(replace(ask, options={**ask.options, "num_ctx": "many"}), NEVER)
    assert reply.error_reason == RequestRefused.reason


def test_a_runner_killed_in_mid_stream_fails_one_request_only(
    engine: Ollama, real_ollama: RealOllama
) -> None:
    engine.load(PLAIN, LOAD)
    before = real_ollama.runners()
    reply = _acting(real_ollama, real_ollama.kill_runner).ask(_ask(tokens=2000), NEVER)
    assert reply.error_reason == "stream_broken"
    assert 0 < reply.chunks < 2000
    assert (reply.output_tokens, reply.output_sha256) == (None, None)
    assert _answer(engine, _ask()).output_tokens == 16
    assert real_ollama.runners() != before
    engine.unload(PLAIN)


def test_the_server_stops_to_generate_when_stopped(engine: Ollama, real_ollama: RealOllama) -> None:
    """The next request would otherwise wait for the rest of the answer.

    Now and then, on a busy machine, 0.32.15 answers nothing at all after a request that was cut
    off, until the model is loaded anew: then the same is tried again.
    """
    engine.load(PLAIN, LOAD)
    before = time.monotonic()
    engine.ask(_ask(tokens=2000), NEVER)
    whole_s = time.monotonic() - before
    for _ in range(3):
        engine.load(PLAIN, LOAD)
        stop = threading.Event()
        with pytest.raises(Interrupted):
            _acting(real_ollama, stop.set).ask(_ask(tokens=2000), stop)
        before = time.monotonic()
        reply = engine.ask(_ask(), NEVER)
        if reply.error is None:
            break
        real_ollama.kill_runner()
    assert reply.error is None
    assert time.monotonic() - before < whole_s / 2
    assert (reply.total_ns or 0) < whole_s * 1e9 / 2
    engine.unload(PLAIN)


def test_delete(engine: Ollama, real_ollama: RealOllama) -> None:
    copy = {"source": PLAIN, "destination": "copy"}
    httpx.post(f"{real_ollama.base_url}/api/copy", json=copy, trust_env=False).raise_for_status()
    assert engine.describe("copy").digest == engine.describe(PLAIN).digest
    engine.delete("copy")
    with pytest.raises(ModelMissing):
        engine.delete("copy")
    assert engine.describe(PLAIN).size_bytes
