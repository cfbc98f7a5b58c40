"""What holds for every engine, checked on every engine: one suite, both runners of Ollama too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.errors import EngineUnreachable, Interrupted, ModelMissing
from fleet.model.measure import Ask, Reply
from fleet.ports import Engine
from tests import ollama_server
from tests.ollama_server import ModelKind
from tests.tools.install_ollama import Version, wanted_versions

LOAD = {"num_ctx": 1024, "num_batch": 256, "num_thread": 1}
PROMPT = " the of and to in is that it was for on are as with his they at be this have"
TOKENS = 24


@dataclass(frozen=True, slots=True)
class Side:
    engine: Engine
    harmony: str
    """A gpt-oss: its chat thinks before it answers."""
    plain: str


def _embedded(stack: ExitStack, folder: Path) -> Side:
    pytest.importorskip("xllamacpp", reason="needs the extra `embedded`")
    from fleet.engines.embedded import Embedded

    engine = Embedded(folder, clock=SystemClock())
    stack.callback(engine.close)
    for model in ("tiny-gpt-oss", "tiny-llama"):
        engine.pull(model, print, threading.Event())  # generates it
    return Side(engine, "tiny-gpt-oss", "tiny-llama")


def _simulated(stack: ExitStack, folder: Path) -> Side:
    from fleet.engines.simulated.engine import Simulated
    from fleet.model.script import MachineScript, ScriptedModel

    model = ScriptedModel(prefill_tokens_per_s=5000, decode_tokens_per_s=400, load_s=0.05)
    script = MachineScript(
        chip="Test",
        memory_gb=16,
        gpu_memory_mb=8192,
        models={"gpt-oss:20b": model, "tiny-llama": model},
    )
    engine = Simulated(script, clock=SystemClock())
    stack.callback(engine.close)
    return Side(engine, "gpt-oss:20b", "tiny-llama")


def _real(version: Version, plain: ModelKind) -> Callable[[ExitStack, Path], Side]:
    """A real Ollama of this version; the kind of the plain model decides by which runner."""

    def side(stack: ExitStack, folder: Path) -> Side:
        from fleet.engines.ollama import Ollama

        ollama_server.skip_or_fail(version, mlx=plain == "mlx-twin")
        models: dict[str, ModelKind] = {"gpt-oss:20b": "gpt-oss", "tiny-llama": plain}
        server = stack.enter_context(ollama_server.real_ollama(folder, models, version=version))
        return Side(Ollama(server.base_url, clock=SystemClock()), "gpt-oss:20b", "tiny-llama")

    return side


PLAIN: dict[str, ModelKind] = {"llama-server": "llama", "mlx": "mlx-twin"}
REAL = [
    pytest.param(
        _real(version, kind),
        id=f"ollama-{version.ollama}-{runner}",
        marks=pytest.mark.real_ollama,
    )
    for version in wanted_versions()
    for runner, kind in PLAIN.items()
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(_simulated, id="simulated"),
        pytest.param(_embedded, id="embedded"),
        *REAL,
    ],
)
def side(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Side]:
    with ExitStack() as stack:
        yield request.param(stack, tmp_path_factory.mktemp("engine"))


@pytest.fixture
def loaded(side: Side) -> Iterator[Side]:
    side.engine.load(side.plain, LOAD)
    yield side
    side.engine.unload(side.plain)


def _ask(model: str, **changes: Any) -> Ask:
    options = {**LOAD, "temperature": 0.0, "repeat_penalty": 1.0, "seed": 7, "num_predict": TOKENS}
    plain = Ask(model=model, api="generate", prompt=PROMPT, options=options, keep_text=True)
    return replace(plain, **changes)


def _answer(side: Side, ask: Ask) -> Reply:
    reply = side.engine.ask(ask, threading.Event())
    assert (reply.error, reply.error_reason) == (None, None)
    return reply


def test_exactly_the_tokens_asked_for(loaded: Side) -> None:
    reply = _answer(loaded, _ask(loaded.plain))
    assert loaded.engine.facts().proofs.exact_counts
    assert (reply.output_tokens, reply.done_reason) == (TOKENS, "length")


def test_the_same_prompt_has_the_same_number_of_tokens(loaded: Side) -> None:
    first, second = _answer(loaded, _ask(loaded.plain)), _answer(loaded, _ask(loaded.plain))
    assert first.prompt_tokens == second.prompt_tokens
    assert first.prompt_tokens is not None
    assert first.prompt_tokens >= len(PROMPT.split())
    longer = _answer(loaded, _ask(loaded.plain, prompt=PROMPT + " the of and"))
    assert longer.prompt_tokens == first.prompt_tokens + 3


def test_stamps_are_in_order_and_gaps_add_up(loaded: Side) -> None:
    before_ns = time.monotonic_ns()
    reply = _answer(loaded, _ask(loaded.plain))
    after_ns = time.monotonic_ns()
    assert reply.first_chunk_ns is not None
    assert reply.last_chunk_ns is not None
    stamps = [
        before_ns,
        reply.sent_ns,
        reply.first_chunk_ns,
        reply.last_chunk_ns,
        reply.ended_ns,
        after_ns,
    ]
    assert stamps == sorted(stamps)
    assert 1 <= reply.chunks <= TOKENS
    assert len(reply.chunk_gaps_us) == reply.chunks - 1
    assert min(reply.chunk_gaps_us) >= 0
    span_us = (reply.last_chunk_ns - reply.first_chunk_ns) / 1000
    assert sum(reply.chunk_gaps_us) == pytest.approx(span_us, abs=1)
    assert reply.first_answer_ns == reply.first_chunk_ns
    assert reply.first_thinking_ns is None


def test_counters_are_there_or_cannot_be_proved(loaded: Side) -> None:
    proofs = loaded.engine.facts().proofs
    reply = _answer(loaded, _ask(loaded.plain))
    assert reply.prompt_ns is not None
    assert 0 < reply.prompt_ns <= (reply.ended_ns - reply.sent_ns)
    assert reply.output_ns is not None
    assert 0 < reply.output_ns <= (reply.ended_ns - reply.sent_ns)
    assert reply.cached_tokens is not None or not proofs.cache_off
    first_ns, final_ns = reply.server_first_unix_ns, reply.server_final_unix_ns
    if not proofs.server_clock:
        assert (first_ns, final_ns) == (None, None)
        return
    assert first_ns is not None
    assert final_ns is not None
    assert first_ns <= final_ns
    assert abs(final_ns - time.time_ns()) < 60e9


def test_stop_ends_an_answer_within_half_a_second(loaded: Side) -> None:
    stop = threading.Event()
    asked = _ask(loaded.plain)
    long = replace(asked, options={**asked.options, "num_predict": 900})
    set_ns: list[int] = []

    def stop_soon() -> None:
        set_ns.append(time.monotonic_ns())
        stop.set()

    timer = threading.Timer(0.15, stop_soon)
    timer.start()
    with pytest.raises(Interrupted):
        loaded.engine.ask(long, stop)
    timer.join()
    assert set_ns, "the answer ended before it was stopped: this test proves nothing"
    assert time.monotonic_ns() - set_ns[0] < 500e6
    _answer(loaded, asked)  # and the engine is fit for the next request


def test_a_stop_set_before_asks_nothing(loaded: Side) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        loaded.engine.ask(_ask(loaded.plain), stop)


def test_an_unknown_model_is_missing(side: Side) -> None:
    with pytest.raises(ModelMissing):
        side.engine.describe("no-such-model")
    with pytest.raises(ModelMissing):
        side.engine.load("no-such-model", LOAD)


def test_unload_twice_is_no_error(side: Side) -> None:
    side.engine.load(side.plain, LOAD)
    side.engine.unload(side.plain)
    side.engine.unload(side.plain)
    assert side.engine.placement(side.plain) is None


def test_what_fleet_loaded_is_in_memory_until_it_is_unloaded(side: Side) -> None:
    engine, ours = side.engine, f"{side.plain}:latest"
    engine.unload(side.plain)
    assert engine.resident() == () or ours not in {model.name for model in engine.resident()}
    engine.load(side.plain, LOAD)
    resident = {model.name: model.expires_unix_ns for model in engine.resident()}
    assert engine.facts().kind == "embedded" or resident[ours] is not None
    engine.unload(side.plain)
    assert ours not in {model.name for model in engine.resident()}


def test_placement_tells_the_context_asked_for(loaded: Side) -> None:
    placement = loaded.engine.placement(loaded.plain)
    if not loaded.engine.facts().proofs.placement:
        assert placement is None
        return
    assert placement is not None
    assert placement.context_length == LOAD["num_ctx"]
    assert placement.size_bytes is not None
    assert placement.gpu_bytes is not None
    assert 0 <= placement.gpu_bytes <= placement.size_bytes


def test_same_seed_same_output(loaded: Side) -> None:
    first, second = _answer(loaded, _ask(loaded.plain)), _answer(loaded, _ask(loaded.plain))
    assert first.output_sha256 is not None
    assert first.output_sha256 == second.output_sha256
    assert first.text
    assert first.text == second.text


def test_text_is_kept_only_if_asked(loaded: Side) -> None:
    reply = _answer(loaded, _ask(loaded.plain, keep_text=False))
    assert (reply.text, reply.thinking) == (None, None)
    assert reply.output_sha256 == _answer(loaded, _ask(loaded.plain)).output_sha256


def test_models_have_digest_and_size(side: Side) -> None:
    models = {facts.name.removesuffix(":latest"): facts for facts in side.engine.models()}
    assert {side.plain, side.harmony} <= set(models)
    for facts in models.values():
        assert len(facts.digest) >= 12
        assert facts.size_bytes > 0
    described = side.engine.describe(side.plain)
    assert described.digest == models[side.plain].digest
    assert described.size_bytes == models[side.plain].size_bytes


def test_pull_of_a_model_that_is_there_says_nothing(side: Side) -> None:
    said: list[str] = []
    facts = side.engine.pull(side.plain, said.append, threading.Event())
    assert facts.digest == side.engine.describe(side.plain).digest
    assert said == []


def test_chat_of_gpt_oss_thinks_before_it_answers(side: Side) -> None:
    side.engine.load(side.harmony, LOAD)
    ask = _ask(side.harmony, api="chat", system="Be short.", prompt="why is gold yellow")
    reply = _answer(side, replace(ask, options={**ask.options, "num_predict": 40}))
    side.engine.unload(side.harmony)
    assert reply.output_tokens == 40
    assert reply.first_thinking_ns is not None
    assert reply.first_answer_ns is not None
    assert reply.first_chunk_ns == reply.first_thinking_ns < reply.first_answer_ns
    assert reply.thinking
    assert reply.text
    assert reply.thinking not in reply.text


def test_the_history_of_a_chat_is_part_of_the_prompt(loaded: Side) -> None:
    said = ("why is gold yellow", "the of and to in is that it")
    alone = _ask(loaded.plain, api="chat", system="Be short.", prompt="and silver")
    once, twice = (_answer(loaded, replace(alone, history=(said,) * n)) for n in (1, 2))
    first = _answer(loaded, alone)
    assert first.prompt_tokens is not None
    assert once.prompt_tokens is not None
    assert twice.prompt_tokens is not None
    added = once.prompt_tokens - first.prompt_tokens
    assert added >= sum(len(text.split()) for text in said)
    assert twice.prompt_tokens - once.prompt_tokens == added


def test_what_begins_as_the_prompt_before_is_reused_where_asked_for(loaded: Side) -> None:
    """The first words differ from all prompts of the other tests."""
    before = " has time into him like make would her some so these" + PROMPT * 16
    first = _answer(loaded, _ask(loaded.plain, prompt=before))
    again = _answer(loaded, _ask(loaded.plain, prompt=before + " the of and", reuse=True))
    assert first.prompt_tokens is not None
    assert again.prompt_tokens == first.prompt_tokens + 3
    assert first.prompt_ns is not None
    assert again.prompt_ns is not None
    assert again.prompt_ns < first.prompt_ns / 2
    if loaded.engine.facts().proofs.cache_off:
        assert (first.cached_tokens, again.cached_tokens) == (0, first.prompt_tokens)


def test_streams_at_once_each_get_their_own_answer(loaded: Side) -> None:
    """An engine that answers one at a time may still be asked by several: they wait."""
    prompts = [f" {word}{PROMPT}" for word in ("look", "two", "more", "write")]
    alone = [_answer(loaded, _ask(loaded.plain, prompt=prompt)).text for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as pool:
        asked = [_ask(loaded.plain, prompt=prompt) for prompt in prompts]
        replies = list(pool.map(lambda ask: _answer(loaded, ask), asked))
    assert [reply.text for reply in replies] == alone
    assert {(reply.output_tokens, reply.done_reason) for reply in replies} == {(TOKENS, "length")}
    assert loaded.engine.facts().concurrent == (loaded.engine.facts().kind != "embedded")


def test_thinking_that_no_one_asked_for_has_a_name(side: Side) -> None:
    assert side.engine.describe(side.harmony).default_think == "medium"
    assert side.engine.describe(side.plain).default_think is None


def test_facts_name_the_engine(side: Side) -> None:
    facts = side.engine.facts()
    assert facts.kind in {"ollama", "embedded", "simulated"}
    assert facts.version


def test_nobody_at_the_address_is_unreachable() -> None:
    from fleet.engines.ollama import Ollama

    nobody = Ollama(f"http://127.0.0.1:{ollama_server.free_port()}", clock=SystemClock())
    with pytest.raises(EngineUnreachable):
        nobody.facts()
    with pytest.raises(EngineUnreachable):
        nobody.models()
    with pytest.raises(EngineUnreachable, match="ollama serve"):
        nobody.ask(_ask("any"), threading.Event())
