"""Whatever an engine answers: no exception but fleet's own, no number that its quantity lacks.

Answers of an Ollama are damaged at random, with fixed seeds; each damaged one is read as the
client reads it.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from fleet.clock import SystemClock
from fleet.engines.incoming import (
    CONTEXT_TOKENS,
    DURATION_NS,
    EXPIRY_UNIX_NS,
    LONGEST_WORD,
    PARAMETERS,
    SIZE_BYTES,
    STAMP_UNIX_NS,
    TOKENS,
    Quantity,
    json_of,
    text,
)
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.connection import Wire
from fleet.engines.ollama.models import Loaded, described, listed, loaded
from fleet.engines.ollama.stream import Arrivals, read_reply
from fleet.errors import FleetError
from fleet.model.machine import ModelFacts
from fleet.model.measure import Reply
from fleet.spool import from_json, to_json
from fleet.store.codec import encode_rows
from fleet.store.rows import rows_of
from fleet.store.schema import TABLES
from tests import builders

SEED, MANY, SOME = 10, 100_000, 600

DETAILS = {"format": "gguf", "family": "llama", "quantization_level": "Q4_K_M"}
FINAL = {
    "model": "m:latest",
    "created_at": "2026-11-23T22:08:17.3Z",
    "response": "",
    "done": True,
    "done_reason": "length",
    "total_duration": 5_043_500_417,
    "load_duration": 25_000_001,
    "prompt_eval_count": 512,
    "prompt_eval_cached_count": 1,
    "prompt_eval_duration": 325_953_000,
    "eval_count": 3,
    "eval_duration": 4_709_213_000,
}
CHUNK = {"created_at": "2026-11-23T22:08:16Z", "response": " a", "thinking": "", "done": False}
ENTRY = {"name": "m:latest", "model": "m:latest", "digest": "d" * 64, "details": DETAILS}
PS = {
    "models": [
        {
            **ENTRY,
            "size": 1_200_000_000,
            "size_vram": 1_200_000_000,
            "expires_at": "2318-01-01T00:00:00Z",
            "context_length": 4096,
        }
    ]
}
TAGS = {"models": [{**ENTRY, "size": 10**9, "capabilities": ["completion"]}]}
SHOW = {
    "details": DETAILS,
    "modelfile": "FROM /m/blobs/sha256-aa\n",
    "capabilities": ["completion", "thinking"],
    "model_info": {
        "general.architecture": "gptoss",
        "general.parameter_count": 10**9,
        "gptoss.context_length": 131_072,
        "gptoss.expert_count": 32,
        "gptoss.expert_used_count": 4,
    },
    "tensors": [
        {"name": "output.weight", "type": "Q6_K", "shape": [4096, 1000]},
        {"name": "blk.0.ffn_gate_exps.weight", "type": "MXFP4", "shape": [2880, 2880, 32]},
    ],
}
VERSION = {"version": "0.33.4"}

DEEP = {"@deep@": b"[" * 300 + b"]" * 300, "@abyss@": b"[" * 50_000}
"""What stands for lists in lists, which Python itself cannot handle so deep."""
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30),
    *(10**400, 0.0, -0.5, 1.5, 2.0, 1e30, 1e300, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "12",
        "-1",
        "NaN",
        "m",
        "\x1b[31mred\x07",
        "\ud83d",
        "\udc00x",
        "\u202e",
        "x" * 9_000,
    ),
    *("2026-11-23T22:08:17Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z"),
    *("\u0662\u0660\u0662\u0666-11-23T22:08:17Z", {"error": "\x1b]0;x\x07"}, *DEEP),
    *([], {}, [[]], [None], [{}], {"a": 1}, ["completion"], [-1, 2**70]),
)
BASE = ModelFacts(name="m:latest", digest="d" * 64, size_bytes=10**9)


def steps_of(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each value inside, the whole first."""
    yield before
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, each in inside:
        yield from steps_of(each, (*before, key))


def changed(document: Any, chance: random.Random) -> Any:
    """With something else at one place, or with nothing there."""
    steps = chance.choice([*steps_of(document)])
    junk = chance.choice(JUNK)
    if not steps:
        return junk
    whole = copy.deepcopy(document)
    holder = whole
    for step in steps[:-1]:
        holder = holder[step]
    if chance.random() < 0.15:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = junk
    return whole


def damaged(document: Any, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        document = changed(document, chance)
    data = json.dumps(document).encode()
    for name, lists in DEEP.items():
        data = data.replace(b'"%s"' % name.encode(), lists)
    if chance.random() < 0.1:
        at = chance.randrange(len(data) + 1)
        data = data[:at] + chance.randbytes(chance.choice((0, 1, 4))) + data[at + 1 :]
    return data


def within(value: int | None, quantity: Quantity) -> bool:
    whole = type(value) is int and quantity.least <= value <= quantity.most
    return value is None or whole


def fit_to_show(words: str | None, longest: int = LONGEST_WORD) -> bool:
    return words is None or words == text(words, longest)


def reply_is_sound(reply: Reply) -> bool:
    """Counters by the table; what cannot be is a failure with its name."""
    cached = reply.cached_tokens
    return (
        all(map(within, (reply.prompt_tokens, cached, reply.output_tokens), [TOKENS] * 3))
        and all(
            within(value, DURATION_NS)
            for value in (reply.total_ns, reply.load_ns, reply.prompt_ns, reply.output_ns)
        )
        and within(reply.server_first_unix_ns, STAMP_UNIX_NS)
        and within(reply.server_final_unix_ns, STAMP_UNIX_NS)
        and (cached is None or cached <= (reply.prompt_tokens or 0))
        and fit_to_show(reply.done_reason)
        and fit_to_show(reply.error, 2_000)
        and (reply.error is None) == (reply.error_reason is None)
    )


def facts_are_sound(facts: ModelFacts) -> bool:
    sizes = (facts.size_bytes, facts.tensors_bytes, facts.active_bytes)
    words = (facts.name, facts.digest, facts.architecture, facts.quantization, facts.unmeasurable)
    return (
        all(within(size, SIZE_BYTES) for size in sizes)
        and within(facts.parameters, PARAMETERS)
        and within(facts.context_length, CONTEXT_TOKENS)
        and all(map(fit_to_show, words))
        and fit_to_show(facts.file, 4096)
        and facts.default_think in (None, True, "medium")
    )


def loaded_is_sound(each: Loaded) -> bool:
    placed = each.placement
    return (
        within(placed.size_bytes, SIZE_BYTES)
        and within(placed.gpu_bytes, SIZE_BYTES)
        and within(placed.context_length, CONTEXT_TOKENS)
        and within(each.resident.expires_unix_ns, EXPIRY_UNIX_NS)
        and fit_to_show(each.name)
    )


def reply_of(data: bytes, chunk: bytes = b"") -> Reply:
    arrivals = Arrivals()
    arrivals.collect([chunk + b"\n", data + b"\n"], iter((10, 20)).__next__)
    return read_reply(arrivals, api="generate", sent_ns=0, ended_ns=30, keep_text=True)


def object_of(data: bytes) -> dict[str, Any]:
    value = json_of(data)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def final_is_read(data: bytes) -> bool:
    return reply_is_sound(reply_of(data, json.dumps(CHUNK).encode()))


def chunk_is_read(data: bytes) -> bool:
    return reply_is_sound(reply_of(json.dumps(FINAL).encode(), data))


def ps_is_read(data: bytes) -> bool:
    return all(map(loaded_is_sound, loaded(object_of(data).get("models"))))


def tags_are_read(data: bytes) -> bool:
    return all(map(facts_are_sound, listed(object_of(data).get("models"))))


def show_is_read(data: bytes) -> bool:
    return facts_are_sound(described(BASE, object_of(data)))


def version_is_read(data: bytes) -> bool:
    return fit_to_show(text(object_of(data).get("version")))


READINGS: tuple[tuple[Any, Callable[[bytes], bool]], ...] = (
    (FINAL, final_is_read),
    (CHUNK, chunk_is_read),
    (PS, ps_is_read),
    (TAGS, tags_are_read),
    (SHOW, show_is_read),
    (VERSION, version_is_read),
)


def unsound(count: int, seed: int) -> list[bytes]:
    """Those of the damaged answers that raise, or give what cannot be."""
    chance, found = random.Random(seed), []
    for number in range(count):
        document, is_read = READINGS[number % len(READINGS)]
        data = damaged(document, chance)
        try:
            sound = is_read(data)
        except ValueError:  # what the client turns into EngineUnreachable
            sound = True
        except Exception:  # noqa: BLE001 (any other is what is looked for)
            sound = False
        if not sound:
            found.append(data)
    return found


def test_answers_as_they_are_give_what_they_say() -> None:
    reply = reply_of(json.dumps(FINAL).encode(), json.dumps(CHUNK).encode())
    assert reply.error is None
    assert (reply.prompt_tokens, reply.cached_tokens, reply.output_tokens) == (512, 1, 3)
    (found,) = loaded(PS["models"])
    assert (found.placement.size_bytes, found.placement.context_length) == (1_200_000_000, 4096)
    assert found.resident.expires_unix_ns == 10_981_785_600 * 10**9
    (listed_one,) = listed(TAGS["models"])
    assert (listed_one.name, listed_one.size_bytes) == ("m:latest", 10**9)
    shown = described(listed_one, SHOW)
    assert (shown.parameters, shown.context_length) == (10**9, 131_072)
    output, experts = 4096 * 1000 // 256 * 210, 2880 * 2880 * 32 // 32 * 17
    assert (shown.tensors_bytes, shown.active_bytes) == (output + experts, output + experts // 8)


def test_a_hundred_thousand_damaged_answers(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    found = unsound(MANY, SEED)
    with capsys.disabled():
        took = time.monotonic() - began
        print(f"\n  {MANY} damaged answers, seed {SEED}, {took:.0f} s: {len(found)} unsound")
    assert found == []


def test_what_is_read_from_damaged_answers_can_be_spooled_and_stored() -> None:
    chance = random.Random(SEED + 1)
    for _ in range(SOME):
        data, chunk = damaged(FINAL, chance), damaged(CHUNK, chance)
        record = builders.record(reply=reply_of(data, chunk))
        (found, *_) = [*loaded(_models_of(damaged(PS, chance))), None]
        placement = found.placement if found else None
        result = builders.result(builders.attempt(), requests=(record,), placement=placement)
        assert from_json(to_json(result)) == result
        for table, rows in rows_of(result).items():
            if rows:
                assert encode_rows(table, rows)
                assert set(rows[0]) == set(TABLES[table].names)


def _models_of(data: bytes) -> object:
    try:
        return object_of(data).get("models")
    except ValueError:
        return None


def test_the_client_raises_errors_of_fleet_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(SEED + 2)
    pages = {"/api/tags": TAGS, "/api/ps": PS, "/api/show": SHOW, "/api/version": VERSION}

    def answer(request: httpx.Request) -> httpx.Response:
        page = pages.get(request.url.path, FINAL)
        whole = chance.random() < 0.5
        status = 200 if whole or chance.random() < 0.7 else chance.choice((404, 500, 503, 302))
        return httpx.Response(status, content=json.dumps(page) if whole else damaged(page, chance))

    monkeypatch.setattr(Wire, "transport", lambda *_: httpx.MockTransport(answer))
    engine = Ollama("http://127.0.0.1:1", clock=SystemClock())
    calls: tuple[Callable[[], object], ...] = (
        engine.facts,
        engine.models,
        engine.resident,
        lambda: engine.describe("m"),
        lambda: engine.placement("m"),
        lambda: engine.load("m", {}),
    )
    problems: list[str] = []
    for number in range(SOME):
        try:
            calls[number % len(calls)]()
        except FleetError as problem:
            problems.append(problem.what)
    assert len(problems) > SOME // 10, "hardly anything was damaged"
    assert [words for words in problems if not words.isprintable()] == []
