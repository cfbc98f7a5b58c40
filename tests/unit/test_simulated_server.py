"""The simulated server over HTTP: Ollama's protocol, its times, and every fault."""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydantic import ValidationError

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.engines.simulated.ground_truth import read
from fleet.engines.simulated.server import SimulatedServer, serve
from fleet.errors import Interrupted
from fleet.model.measure import Ask, Reply
from fleet.model.script import Fault, MachineScript, ScriptedModel, ScriptedResident
from tests.builders_flow import until

TOKENS = 24
OPTIONS: dict[str, Any] = {"num_ctx": 1024, "num_batch": 256, "num_predict": TOKENS, "seed": 1}
FAST = ScriptedModel(prefill_tokens_per_s=10_000, decode_tokens_per_s=2_000, load_s=0.01)
STEADY = ScriptedModel(prefill_tokens_per_s=10_000, decode_tokens_per_s=200, load_s=0.01)
SLOW = ScriptedModel(prefill_tokens_per_s=10_000, decode_tokens_per_s=0.5, load_s=0.01)
LOGGED = ("refuse", "die_mid_stream", "no_final_record")
ABSENT = ScriptedModel(
    prefill_tokens_per_s=1, decode_tokens_per_s=1, present=False, digest="d" * 64
)


def _script(*faults: Fault, **changes: Any) -> MachineScript:
    models = {"tiny": FAST, "gpt-oss:20b": FAST, "steady": STEADY, "absent": ABSENT}
    plain = MachineScript(
        chip="Test", memory_gb=16, gpu_memory_mb=8192, models=models, faults=faults
    )
    return plain.model_copy(update=changes)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(_script(time_scale=0.5)) as base_url:
        yield base_url


def test_others_hold_models_in_memory() -> None:
    resident = {
        "tiny": ScriptedResident(),
        "steady": ScriptedResident(used_every_s=0.05),
        "gpt-oss:20b": ScriptedResident(leaves_after_s=600),
    }
    with serve(_script(resident=resident)) as base_url:
        engine = Ollama(base_url, clock=SystemClock())

        def seen() -> dict[str, int | None]:
            return {model.name: model.expires_unix_ns for model in engine.resident()}

        first = seen()
        assert set(first) == {"tiny:latest", "steady:latest", "gpt-oss:20b"}
        begun_ns = first["steady:latest"] or 0
        until(lambda: (seen()["steady:latest"] or 0) - begun_ns >= 50_000_000)
        assert seen()["tiny:latest"] == first["tiny:latest"], "nobody uses it"
        engine.unload("tiny")
        assert set(seen()) == {"steady:latest", "gpt-oss:20b"}


def test_a_model_of_others_leaves_when_it_is_due() -> None:
    resident = {"tiny": ScriptedResident(), "steady": ScriptedResident(leaves_after_s=0.1)}
    with serve(_script(resident=resident)) as base_url:
        engine = Ollama(base_url, clock=SystemClock())
        until(lambda: [model.name for model in engine.resident()] == ["tiny:latest"])


def test_what_is_in_memory_is_a_model_of_the_machine() -> None:
    script = _script().model_dump() | {"resident": {"llama3:8b": {}}}
    with pytest.raises(ValidationError, match="'llama3:8b' is in memory, but not among the models"):
        MachineScript.model_validate(script)


def _generate(base_url: str, **changes: Any) -> httpx.Response:
    body = {"model": "tiny", "prompt": " a b c", "raw": True, "options": OPTIONS, **changes}
    return httpx.post(f"{base_url}/api/generate", json=body, trust_env=False, timeout=600)


def _lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def _asked(
    base_url: str,
    stop: threading.Event | None = None,
    *,
    model: str = "tiny",
    tokens: int = TOKENS,
    api: Literal["chat", "generate"] = "generate",
    think: bool | None = None,
) -> Reply:
    """The reply that fleet's own client makes of it."""
    options = {**OPTIONS, "num_predict": tokens}
    ask = Ask(model=model, api=api, prompt=" a b c", options=options, think=think, keep_text=True)
    return Ollama(base_url, clock=SystemClock()).ask(ask, stop or threading.Event())


def test_a_stream_has_every_token_and_a_final_record(url: str) -> None:
    response = _generate(url)
    assert response.headers["content-type"] == "application/x-ndjson"
    *tokens, final = _lines(response)
    assert len(tokens) == TOKENS
    assert all(line["response"] and not line["done"] for line in tokens)
    assert (final["done"], final["done_reason"], final["response"]) == (True, "length", "")
    assert (final["eval_count"], final["prompt_eval_count"]) == (TOKENS, 4)
    assert final["prompt_eval_duration"] == 200_000
    assert final["eval_duration"] == (TOKENS - 1) * 250_000
    parts = ("load_duration", "prompt_eval_duration", "eval_duration")
    assert final["total_duration"] >= sum(final[part] for part in parts)
    stamps = [line["x_mono_ns"] for line in [*tokens, final]]
    assert stamps == sorted(stamps)
    assert stamps[0] < time.monotonic_ns()


def test_without_a_stream_all_comes_at_once(url: str) -> None:
    streamed = "".join(line["response"] for line in _lines(_generate(url)))
    (whole,) = _lines(_generate(url, stream=False))
    assert whole["response"] == streamed
    assert (whole["eval_count"], whole["done"]) == (TOKENS, True)


def test_gpt_oss_thinks_first_and_others_do_not(url: str) -> None:
    reply = _asked(url, model="gpt-oss:20b", api="chat")
    assert (reply.chunks, reply.output_tokens) == (TOKENS, TOKENS)
    assert reply.thinking is not None
    assert reply.text is not None
    assert len(reply.thinking.split()) == TOKENS // 4
    assert len(reply.text.split()) == TOKENS - TOKENS // 4
    assert _asked(url, api="chat").thinking is None
    assert _generate(url, think=True).json() == {"error": '"tiny" does not support thinking'}


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"model": "none"}, 404, "model 'none' not found"),
        ({"model": "absent"}, 404, "model 'absent' not found"),
        ({"prompt": " a" * 2000, "truncate": False}, 400, "exceeds the available context size"),
    ],
)
def test_errors_read_as_the_real_ones(
    url: str, changes: dict[str, Any], status: int, text: str
) -> None:
    response = _generate(url, **changes)
    assert response.status_code == status
    assert text in response.json()["error"]


def test_an_unknown_path_is_plain_text(url: str) -> None:
    response = httpx.get(f"{url}/api/nothing", trust_env=False)
    assert (response.status_code, response.text) == (404, "404 page not found")


def _running(base_url: str) -> dict[str, dict[str, Any]]:
    models = httpx.get(f"{base_url}/api/ps", trust_env=False).json()["models"]
    return {model["name"]: model for model in models}


def test_load_placement_and_unload(url: str) -> None:
    loaded = _generate(url, prompt="").json()
    assert (loaded["done_reason"], loaded["done"]) == ("load", True)
    assert _running(url)["tiny:latest"]["context_length"] == 1024
    assert _generate(url, prompt="", keep_alive=0).json()["done_reason"] == "unload"
    assert "tiny:latest" not in _running(url)


def test_pull_brings_an_absent_model_and_delete_takes_it_away() -> None:
    with serve(_script(time_scale=0.01)) as base_url:
        client = Ollama(base_url, clock=SystemClock())
        said: list[str] = []
        assert "absent:latest" not in {facts.name for facts in client.models()}
        facts = client.pull("absent", said.append, threading.Event())
        assert facts.digest == "d" * 64
        assert facts.tensors_bytes == facts.size_bytes == ABSENT.size_bytes
        assert said
        client.delete("absent")
        assert "absent:latest" not in {facts.name for facts in client.models()}
        nobody = httpx.post(f"{base_url}/api/pull", json={"model": "none"}, trust_env=False)
        assert nobody.json() == {"error": "pull model manifest: file does not exist"}


def _schedule_error_us(reply: Reply) -> float:
    """Median distance of the arrivals from 5 ms steps; other programs may delay a few."""
    offsets_us = [0]
    for gap_us in reply.chunk_gaps_us:
        offsets_us.append(offsets_us[-1] + gap_us)
    steps = [offset - number * 5000 for number, offset in enumerate(offsets_us)]
    middle = statistics.median(steps)  # the first one may be the late one
    return statistics.median(abs(step - middle) for step in steps)


def test_tokens_arrive_when_they_are_due() -> None:
    """One answer in twenty on time will do: other programs may delay the rest."""
    with serve(_script()) as base_url:
        replies = (_asked(base_url, model="steady", tokens=100) for _ in range(20))
        assert any(map(_on_time, replies))


def _on_time(reply: Reply) -> bool:
    assert reply.output_ns == 99 * 5_000_000
    assert reply.first_chunk_ns is not None
    assert reply.last_chunk_ns is not None
    whole_ns = reply.last_chunk_ns - reply.first_chunk_ns
    return _schedule_error_us(reply) < 1000 and whole_ns == pytest.approx(495e6, abs=50e6)


def _with_fault(kind: Any, **changes: Any) -> tuple[Reply, Reply]:
    """The replies to the request before the fault and to the one that meets it."""
    server = SimulatedServer(_script(Fault(kind=kind, request=1), **changes))
    server.start()
    try:
        before, hit = _asked(server.url), _asked(server.url)
        assert (server.requests_seen, server.faults_done) == (2, (kind,))
    finally:
        server.stop()
    assert before.error is None
    return before, hit


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("busy", "engine_busy"),
        ("out_of_memory", "out_of_memory"),
        ("refuse", "request_refused"),
    ],
)
def test_a_refused_request_has_its_reason(kind: str, reason: str) -> None:
    _, hit = _with_fault(kind)
    assert (hit.error_reason, hit.chunks) == (reason, 0)


@pytest.mark.parametrize(("kind", "chunks"), [("die_mid_stream", 12), ("no_final_record", 24)])
def test_an_answer_without_its_end_keeps_what_came(kind: str, chunks: int) -> None:
    _, hit = _with_fault(kind)
    assert (hit.error_reason, hit.chunks, hit.output_tokens) == ("stream_broken", chunks, None)


def test_a_cached_prefix_shows_in_the_prompt_time() -> None:
    before, hit = _with_fault("cached_prefix")
    assert before.prompt_ns is not None
    assert hit.prompt_tokens == before.prompt_tokens
    assert hit.prompt_ns == before.prompt_ns // 50


def test_a_short_answer_ends_by_itself() -> None:
    _, hit = _with_fault("short_answer")
    assert (hit.output_tokens, hit.chunks, hit.done_reason) == (12, 12, "stop")


def test_a_wrong_prompt_count() -> None:
    _, hit = _with_fault("wrong_prompt_count")
    assert (hit.prompt_tokens, hit.output_tokens) == (2, TOKENS)


def test_a_slow_last_third_is_really_slow() -> None:
    before, hit = _with_fault("slow_last_third")
    assert before.output_ns == 23 * 500_000
    assert hit.output_ns == (23 + 8) * 500_000


def test_a_wrong_clock_is_in_the_counters_alone() -> None:
    before, hit = _with_fault("clock_wrong")
    assert before.output_ns is not None
    assert hit.output_ns == before.output_ns * 3 // 2


def test_thinking_though_none_was_asked() -> None:
    with serve(_script(Fault(kind="thinks_unasked", request=1))) as base_url:
        before, hit = (_asked(base_url, api="chat", think=False) for _ in range(2))
    assert before.thinking is None
    assert hit.thinking is not None
    assert len(hit.thinking.split()) == TOKENS // 4


def test_measured_counters_are_of_what_was_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with serve(_script(counters="measured", written_log=str(log))) as base_url:
        reply = _asked(base_url)
    (written,) = read(log)
    assert reply.output_ns == written.tokens_ns[-1] - written.tokens_ns[0]
    assert reply.prompt_ns == written.tokens_ns[0] - (written.evaluated_from_ns or 0)
    assert reply.output_tokens == TOKENS


def test_too_fast_is_faster_in_the_counters_and_on_the_wire() -> None:
    before, hit = _with_fault("too_fast")
    assert before.output_ns == 23 * 500_000
    assert hit.output_ns == 23 * 500
    assert hit.chunks == TOKENS
    assert sum(hit.chunk_gaps_us) * 1000 < before.output_ns


def test_another_context_is_in_force_than_was_asked() -> None:
    with serve(_script(Fault(kind="wrong_context", model="tiny"))) as base_url:
        for model in ("tiny", "steady"):
            _generate(base_url, model=model, prompt="")
        found = {name: model["context_length"] for name, model in _running(base_url).items()}
    assert found == {"tiny:latest": 512, "steady:latest": 1024}


def test_a_fault_of_one_model_counts_the_requests_of_that_model() -> None:
    server = SimulatedServer(_script(Fault(kind="short_answer", model="tiny", request=1)))
    server.start()
    try:
        models = ("gpt-oss:20b", "gpt-oss:20b", "tiny", "gpt-oss:20b", "tiny", "tiny")
        counts = [_asked(server.url, model=model).output_tokens for model in models]
        assert server.faults_done == ("short_answer",)
    finally:
        server.stop()
    assert counts == [TOKENS, TOKENS, TOKENS, TOKENS, TOKENS // 2, TOKENS]


def test_the_log_has_every_request_as_it_was_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    faults = [Fault(kind=kind, request=number) for number, kind in enumerate(LOGGED)]
    with serve(_script(*faults, written_log=str(log))) as base_url:
        replies = [_asked(base_url) for _ in (*LOGGED, "")]
        assert not log.exists()  # written while nobody waits for an answer
        _generate(base_url, prompt="", keep_alive=0)
        assert len(list(read(log))) == len(replies)
        streamed = _lines(_generate(base_url))
    written = list(read(log))
    assert [each.faults for each in written] == [*((kind,) for kind in LOGGED), (), ()]
    assert [len(each.tokens_ns) for each in written] == [0, TOKENS // 2, TOKENS, TOKENS, TOKENS]
    assert {(each.opening, each.prompt_tokens) for each in written} == {("a b c", 4)}
    for reply, each in zip(replies[1:], written[1:-1], strict=True):
        assert each.evaluated_from_ns is not None
        assert reply.sent_ns < each.arrived_ns < each.evaluated_from_ns < each.tokens_ns[0]
        assert each.tokens_ns[0] < (reply.first_chunk_ns or 0) < reply.ended_ns
    assert written[-1].tokens_ns == [line["x_mono_ns"] for line in streamed[:-1]]


def test_a_stall_lasts_until_the_client_gives_up() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.2, stop.set)
    with serve(_script(Fault(kind="stall", request=0))) as base_url:
        timer.start()
        with pytest.raises(Interrupted):
            _asked(base_url, stop)
        assert _asked(base_url).error is None
    timer.join()


def test_stopping_the_server_ends_a_stall() -> None:
    server = SimulatedServer(_script(Fault(kind="stall")))
    server.start()
    timer = threading.Timer(0.2, server.stop)
    timer.start()
    assert _asked(server.url).error_reason == "stream_broken"
    timer.join()


def test_a_fault_of_one_model_leaves_the_others_alone() -> None:
    with serve(_script(Fault(kind="busy", model="gpt-oss:20b"))) as base_url:
        assert _asked(base_url).error is None
        assert _asked(base_url, model="gpt-oss:20b").error_reason == "engine_busy"


def test_a_client_that_leaves_frees_the_model() -> None:
    """The other 899 tokens would take half an hour: the next request would be given up."""
    slow = {"model": "steady", "prompt": " a", "options": {**OPTIONS, "num_predict": 900}}
    with serve(_script(models={"steady": SLOW})) as url:
        with httpx.stream("POST", f"{url}/api/generate", json=slow, timeout=600) as response:
            next(response.iter_lines())
        assert _generate(url, model="steady", options={**OPTIONS, "num_predict": 1}).is_success
