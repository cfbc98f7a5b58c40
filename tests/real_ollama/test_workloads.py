"""Whole trials on a real Ollama: exact counts, caches, depth, conversations, streams, loads."""

from __future__ import annotations

import re
import threading
from itertools import pairwise
from pathlib import Path

import gguf
import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.model.job import Job, Point
from fleet.model.machine import Fingerprint
from fleet.model.measure import Ask, RequestRecord, TrialResult
from fleet.runner.trial import run_trial
from fleet.runner.trial_ports import TrialPorts
from tests import builders, ollama_server
from tests.ollama_server import RealOllama

pytestmark = pytest.mark.real_ollama

FOUND = Fingerprint(facts=(), hardware_id="h", software_id="s", condition_id="c")
SETTINGS = {"num_ctx": 4096, "num_batch": 512, "num_thread": 1, "temperature": 0.0}
HARMONY, PLAIN = "gpt-oss:20b", "tiny-llama"
TURNS = ("why is gold yellow", "and silver", "and copper", "and tin")
BOS = 1
"""All raw prompts of this model share it."""
TEMPLATE = 4
"""Tokens before the nonce in a chat of this model, which all its chats share."""
CHANCE = 2
"""Words that two nonces may share at their beginning."""


def trial(engine: Ollama, job: Job, model: str = PLAIN, **settings: int) -> TrialResult:
    ports = TrialPorts(engine, lambda: FOUND, SystemClock(), threading.Event())
    asked = {**SETTINGS, "repeat_penalty": 1.0, **settings}
    return run_trial(builders.attempt(job=job, model=model, settings=asked), ports)


def measured(result: TrialResult) -> list[RequestRecord]:
    assert (result.outcome, result.detail) == ("ok", "")
    return [record for record in result.requests if not record.warmup]


def exact(*points: Point, **changes: object) -> Job:
    plain = {"name": "exact", "api": "generate", "points": points, "requests": 3, "warmup": 0}
    return Job(**{**plain, **changes})


class Log:
    """What llama-server says of each request since this was made: prompt tokens evaluated."""

    def __init__(self, server: RealOllama) -> None:
        self._path = server.log
        self._before = len(self._path.read_text())

    def evaluated(self) -> list[int]:
        said = self._path.read_text()[self._before :]
        return [
            int(tokens) for tokens in re.findall(r"prompt eval time = .*? / +(\d+) tokens", said)
        ]

    def of(self, result: TrialResult) -> list[tuple[RequestRecord, int]]:
        """Of a single stream: the requests with what was evaluated of each."""
        pairs = zip(result.requests, self.evaluated(), strict=True)
        return [(record, tokens) for record, tokens in pairs if not record.warmup]


@pytest.fixture
def log(real_ollama: RealOllama) -> Log:
    return Log(real_ollama)


def test_two_hundred_requests_of_64_tokens_have_64_each_and_nothing_cached(
    engine: Ollama, log: Log
) -> None:
    result = trial(engine, exact(Point(prompt_tokens=64, output_tokens=64), requests=200))
    records = measured(result)
    assert len(records) == 200
    assert {(r.reply.output_tokens, r.reply.done_reason) for r in records} == {(64, "length")}
    assert {r.reply.prompt_tokens for r in records} == {64}
    assert len({r.nonce for r in records}) == 200
    assert min(tokens for _, tokens in log.of(result)) >= 64 - BOS - CHANCE


def test_the_same_prompt_twice_without_a_nonce_is_cached_and_the_duration_tells(
    engine: Ollama, log: Log
) -> None:
    options = {**SETTINGS, "repeat_penalty": 1.0, "seed": 1, "num_predict": 4}
    ask = Ask(model=PLAIN, api="generate", prompt=" the of and to in is" * 200, options=options)
    engine.load(PLAIN, SETTINGS)
    first, second = (engine.ask(ask, threading.Event()) for _ in range(2))
    engine.unload(PLAIN)
    assert first.prompt_tokens == second.prompt_tokens == 1201
    assert log.evaluated() == [1201, 1]
    assert first.prompt_ns is not None
    assert second.prompt_ns is not None
    assert second.prompt_ns < first.prompt_ns / 4


@pytest.mark.parametrize("model", [PLAIN, HARMONY])
@pytest.mark.parametrize("text", ["natural", "synthetic"])
def test_prompts_have_exactly_the_tokens_asked_for(engine: Ollama, model: str, text: str) -> None:
    points = tuple(Point(prompt_tokens=n, output_tokens=1) for n in (16, 100, 512, 2000))
    records = measured(trial(engine, exact(*points, text=text, requests=2), model))
    assert [r.reply.prompt_tokens for r in records] == [r.prompt_tokens_asked for r in records]
    assert {r.prompt_tokens_asked for r in records} == {16, 100, 512, 2000}


def test_a_prompt_over_the_context_fails_with_its_reason(engine: Ollama) -> None:
    job = Job(name="long", api="generate", prompt="why is gold yellow " * 400, requests=1, warmup=0)
    result = trial(engine, job, num_ctx=256)
    assert (result.outcome, result.reason, result.transient) == ("failed", "request_refused", False)
    assert "exceeds the available context size" in result.detail
    assert [r.reply.output_tokens for r in result.requests] == [None]


def test_a_prompt_that_just_fits_the_context_is_fitted_without_going_over(engine: Ollama) -> None:
    point = Point(prompt_tokens=1020, output_tokens=4)
    records = measured(trial(engine, exact(point), num_ctx=1024))
    assert {(r.reply.prompt_tokens, r.reply.output_tokens) for r in records} == {(1020, 4)}


@pytest.mark.parametrize("model", [PLAIN, HARMONY])
def test_only_what_comes_after_the_depth_is_evaluated(
    engine: Ollama, real_ollama: RealOllama, model: str
) -> None:
    """Its time tells, which others on the processor may stretch: of three trials one is quiet."""
    point = Point(prompt_tokens=64, output_tokens=4, depth_tokens=1024)
    for _ in range(3):
        log, told = Log(real_ollama), set[int | None]()
        result = trial(engine, exact(point), model)
        for record, tokens in log.of(result):
            before = result.requests[record.index - 1]
            assert (before.warmup, before.reply.prompt_tokens) == (True, 1024)
            assert (record.reply.prompt_tokens, tokens) == (1088, 64)
            told.add(record.reused_tokens)
        if told == {1024}:
            break
    assert told == {1024}


def test_a_conversation_grows_and_what_was_said_is_reused(engine: Ollama, log: Log) -> None:
    talk = Job(name="talk", turns=TURNS, points=(Point(output_tokens=32),), requests=2, warmup=1)
    result = trial(engine, talk)
    records = measured(result)
    assert [(r.point, r.turn) for r in records] == [(f"talk@t{n}", n) for n in range(4)] * 2
    for before, after in pairwise(records[:4]):
        assert after.reused_tokens == (before.reply.prompt_tokens or 0) + 32 - 1
        assert (after.reply.prompt_tokens or 0) > after.reused_tokens
    for record, tokens in log.of(result):
        cached = (record.reply.prompt_tokens or 0) - tokens
        assert cached == record.reused_tokens if record.turn else cached <= TEMPLATE + CHANCE


def test_a_conversation_that_reuses_nothing_is_evaluated_whole_each_time(
    engine: Ollama, log: Log
) -> None:
    point = Point(output_tokens=32)
    result = trial(engine, Job(name="talk", turns=TURNS, reuse=False, points=(point,), requests=1))
    assert [r.reused_tokens for r in measured(result)] == [None] * 4, "the template's head"
    for record, tokens in log.of(result):
        assert (record.reply.prompt_tokens or 0) - tokens <= TEMPLATE + CHANCE


@pytest.mark.parametrize("think", ["low", "high"])
def test_the_level_of_thinking_that_was_sent_is_recorded(engine: Ollama, think: str) -> None:
    job = Job(name="j", prompt="why", points=(Point(output_tokens=24),), requests=1, warmup=0)
    result = trial(engine, job.model_copy(update={"think": think}), HARMONY)
    assert result.think == think
    assert measured(result)[0].reply.first_thinking_ns is not None
    assert trial(engine, job, HARMONY).think == "medium"
    assert trial(engine, job, PLAIN).think is None


def test_active_weights_are_those_read_for_each_token(
    engine: Ollama, real_ollama: RealOllama
) -> None:
    dense = gguf.GGUFReader(real_ollama.models[PLAIN])
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in dense.tensors}
    assert engine.describe(PLAIN).active_bytes == sum(sizes.values()) - sizes["token_embd.weight"]
    sparse = gguf.GGUFReader(real_ollama.models[HARMONY])
    used, experts = (
        sparse.fields[f"gpt-oss.{key}"].contents() for key in ("expert_used_count", "expert_count")
    )
    assert used < experts
    wanted = sum(
        int(tensor.n_bytes) * (used / experts if "_exps" in tensor.name else 1)
        for tensor in sparse.tensors
        if tensor.name != "token_embd.weight"
    )
    assert engine.describe(HARMONY).active_bytes == round(wanted)


def test_a_cold_load_reads_the_models_own_blob_from_the_disk(
    engine: Ollama, real_ollama: RealOllama
) -> None:
    file = engine.describe(PLAIN).file
    assert file is not None
    assert Path(file).stat().st_size == real_ollama.models[PLAIN].stat().st_size
    job = Job(
        name="cold",
        prompt="hello",
        load="request",
        page_cache="drop",
        points=(Point(output_tokens=4),),
        requests=2,
        warmup=0,
    )
    records = measured(trial(engine, job))
    assert {r.point for r in records} <= {"cold@cold", "cold@warm"}
    assert min(r.reply.load_ns or 0 for r in records) > 100e6, "each request loaded the model"


@pytest.mark.parametrize("parallel", [1, 4])
def test_streams_overlap_where_the_server_lets_them_and_queue_where_not(
    tmp_path: Path, parallel: int
) -> None:
    """The engine's own times of answers that do not overlap fit into the time from the first
    request to the last end; those of answers that do are longer."""
    ollama_server.skip_or_fail()
    environment = {"OLLAMA_NUM_PARALLEL": str(parallel)}
    with ollama_server.real_ollama(tmp_path, {PLAIN: "llama"}, environment) as server:
        engine = Ollama(server.base_url, clock=SystemClock())
        point = Point(prompt_tokens=32, output_tokens=200, concurrency=4)
        records = measured(trial(engine, exact(point, requests=2), num_ctx=1024))
    assert sorted((r.stream, r.concurrency) for r in records) == [
        (stream, 4) for stream in range(4) for _ in range(2)
    ]
    assert {(r.reply.output_tokens, r.reply.done_reason) for r in records} == {(200, "length")}
    firsts = [r for r in records if r.due_ns == min(each.due_ns or 0 for each in records)]
    assert {r.stream for r in firsts} == {0, 1, 2, 3}
    assert max(r.reply.sent_ns for r in firsts) < min(r.reply.ended_ns for r in firsts)
    work_ns = sum((r.reply.prompt_ns or 0) + (r.reply.output_ns or 0) for r in firsts)
    span_ns = max(r.reply.ended_ns for r in firsts) - min(r.reply.sent_ns for r in firsts)
    assert work_ns > 1.5 * span_ns if parallel > 1 else work_ns <= span_ns
