"""From pieces with stamps to the reply: what was sent when, and what the engine counted."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines.ollama.client import request_body
from fleet.engines.ollama.stream import Arrivals, read_reply, unix_ns
from fleet.engines.ollama.weights import listed_tensors, tensors_bytes
from fleet.engines.reply_builder import gaps_us, output_sha256
from fleet.errors import RequestRefused
from fleet.model.measure import Ask, Reply
from fleet.model.tensors import BLOCKS, GGML_TYPES

MS = 1_000_000
FINAL = {
    "created_at": "2026-11-23T22:08:17.3Z",
    "response": "",
    "done": True,
    "done_reason": "length",
    "total_duration": 5_043_500_417,
    "load_duration": 25_000_001,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 325_953_000,
    "eval_count": 3,
    "eval_duration": 4_709_213_000,
}


def _piece(text: str, at: str = "2026-11-23T22:08:17.290363089Z", **more: Any) -> dict[str, Any]:
    return {"model": "m", "created_at": at, "response": text, "done": False, **more}


def _said(thinking: str, answer: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer, "thinking": thinking}
    return {"created_at": "2026-11-23T22:08:17Z", "message": message, "done": False}


def _read(*records: Any, api: Any = "generate", **options: Any) -> Reply:
    """One piece per record, 10 ms apart, the first at 100 ms; asked at 0."""
    arrivals = Arrivals()
    stamps = iter(range(100 * MS, 10**12, 10 * MS))
    lines = (r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in records)
    arrivals.collect(lines, lambda: next(stamps))
    given = {"sent_ns": 0, "ended_ns": 9_999 * MS, "keep_text": True, **options}
    return read_reply(arrivals, api=api, **given)


def test_a_whole_answer() -> None:
    reply = _read(_piece(" a"), _piece(" b"), _piece(" c"), FINAL)
    assert (reply.error, reply.error_reason) == (None, None)
    assert (reply.sent_ns, reply.first_chunk_ns, reply.last_chunk_ns) == (0, 100 * MS, 120 * MS)
    assert reply.ended_ns == 130 * MS
    assert (reply.chunks, reply.chunk_gaps_us) == (3, (10_000, 10_000))
    assert (reply.first_thinking_ns, reply.first_answer_ns) == (None, 100 * MS)
    assert (reply.total_ns, reply.load_ns) == (5_043_500_417, 25_000_001)
    assert (reply.prompt_tokens, reply.prompt_ns) == (26, 325_953_000)
    assert (reply.output_tokens, reply.output_ns) == (3, 4_709_213_000)
    assert reply.cached_tokens is None
    assert reply.done_reason == "length"
    assert (reply.text, reply.thinking) == (" a b c", None)
    assert reply.server_first_unix_ns == 1_795_471_697_290_363_089
    assert reply.server_final_unix_ns == 1_795_471_697_300_000_000


def test_zeros_that_ollama_leaves_out_are_zero() -> None:
    few = {key: FINAL[key] for key in ("created_at", "done", "done_reason", "total_duration")}
    reply = _read(few)
    assert (reply.load_ns, reply.prompt_ns, reply.output_ns, reply.output_tokens) == (0, 0, 0, 0)
    assert (reply.first_chunk_ns, reply.last_chunk_ns, reply.chunks) == (None, None, 0)
    assert reply.chunk_gaps_us == ()


def test_what_the_cache_held_is_read_and_unknown_where_it_is_not_told() -> None:
    reply = _read(_piece(" a"), {**FINAL, "prompt_eval_cached_count": 20})
    assert (reply.error, reply.prompt_tokens, reply.cached_tokens) == (None, 26, 20)
    assert _read(_piece(" a"), {**FINAL, "prompt_eval_cached_count": 0}).cached_tokens == 0
    assert _read(_piece(" a"), FINAL).cached_tokens is None
    more = _read(_piece(" a"), {**FINAL, "prompt_eval_cached_count": 27})
    assert (more.error_reason, more.cached_tokens) == ("impossible_counter", None)
    assert more.error == "prompt_eval_cached_count is more than the prompt has tokens"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("eval_duration", -123, "eval_duration is -123, and a duration is from 0 to"),
        ("eval_duration", 2**63, "eval_duration is 9223372036854775808, and a duration"),
        ("eval_count", 516_371_613_757_000, "eval_count is 516371613757000, and a count of tokens"),
        ("prompt_eval_count", "26", "prompt_eval_count is the text '26', and a count of tokens"),
        ("total_duration", True, "total_duration is true, and a duration"),
        ("load_duration", 0.5, "load_duration is 0.5, and a duration"),
        ("prompt_eval_cached_count", -1, "prompt_eval_cached_count is -1, and a count"),
    ],
)
def test_a_counter_that_cannot_be_is_a_failed_request_and_no_number(
    key: str, value: Any, words: str
) -> None:
    reply = _read(_piece(" a"), {**FINAL, key: value})
    assert reply.error_reason == "impossible_counter"
    assert (reply.error or "").startswith(words)
    fields = {"eval_duration": "output_ns", "eval_count": "output_tokens"}
    if key in fields:
        assert getattr(reply, fields[key]) is None
    assert (reply.chunks, reply.text) == (1, " a")


def test_a_float_without_a_fraction_and_a_null_are_no_faults() -> None:
    reply = _read(_piece(" a"), {**FINAL, "eval_duration": 4_709_213_000.0, "load_duration": None})
    assert (reply.error, reply.output_ns, reply.load_ns) == (None, 4_709_213_000, None)


def test_a_record_that_counts_is_the_final_one_without_done() -> None:
    final = {key: value for key, value in FINAL.items() if key != "done"}
    reply = _read(_piece(" a"), final)
    assert (reply.error, reply.output_tokens, reply.done_reason) == (None, 3, "length")
    for early in ({"done": False}, {"done_reason": None}):
        assert _read(_piece(" a"), {**final, **early}).error_reason == "stream_broken"
    for done in (None, "true", 1):
        assert _read(_piece(" a"), {**final, "done": done}).error is None
    bare = {"response": "", "done_reason": "length"}
    assert _read(_piece(" a"), bare).error_reason == "stream_broken"


def test_halves_of_a_character_in_two_chunks_are_one_character() -> None:
    reply = _read(_piece("\ud83d"), _piece("\ude42"), FINAL)
    assert reply.text == "\U0001f642"
    assert reply.output_sha256 == output_sha256("", "\U0001f642")


def test_a_chunk_that_is_no_text_is_a_failure() -> None:
    reply = _read(_piece(" a"), {**_piece(""), "response": ["b"]}, FINAL)
    assert (reply.error_reason, reply.error) == (
        "stream_broken",
        "a chunk of the answer is no text",
    )


def test_a_time_far_from_any_that_can_be_is_unknown() -> None:
    for moment in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1999-12-31T23:59:59Z", 5):
        reply = _read(_piece(" a", moment), {**FINAL, "created_at": moment})  # type: ignore[arg-type]
        assert (reply.server_first_unix_ns, reply.server_final_unix_ns) == (None, None)
        assert reply.error is None


def test_without_a_final_record_nothing_was_counted() -> None:
    reply = _read(_piece(" a"), _piece(" b"))
    assert reply.error_reason == "stream_broken"
    assert "final record" in (reply.error or "")
    assert (reply.total_ns, reply.output_tokens, reply.done_reason) == (None, None, None)
    assert (reply.chunks, reply.text, reply.output_sha256) == (2, " a b", None)
    assert reply.ended_ns == 9_999 * MS


def test_an_error_line_ends_the_answer() -> None:
    died = {"error": "an error was encountered while running the model: unexpected EOF"}
    reply = _read(_piece(" a"), died)
    assert reply.error_reason == "stream_broken"
    assert (reply.error, reply.ended_ns, reply.chunks) == (died["error"], 110 * MS, 1)


def test_a_line_that_cannot_be_read_is_a_failure() -> None:
    for line in (b"<html>\n", b"[1]\n", b'{"response": " a", "do'):
        assert _read(_piece(" a"), line).error_reason == "stream_broken"


def test_what_the_client_saw_counts_where_the_lines_say_nothing() -> None:
    reply = _read(_piece(" a"), failure=(RequestRefused, "why"))
    assert (reply.error, reply.error_reason) == ("why", "request_refused")
    assert _read(_piece(" a"), FINAL, failure=(RequestRefused, "why")).error is None


def test_the_cloud_is_refused() -> None:
    assert _read(_piece(" a", remote_host="https://ollama.com")).error_reason == "request_refused"


def test_thinking_and_answer_are_apart() -> None:
    final = {**FINAL, "message": {"role": "assistant", "content": ""}}
    reply = _read(_said("hm", ""), _said("", ""), _said("", "yes"), final, api="chat")
    assert (reply.thinking, reply.text, reply.chunks) == ("hm", "yes", 2)
    assert (reply.first_thinking_ns, reply.first_answer_ns) == (100 * MS, 120 * MS)
    assert reply.chunk_gaps_us == (20_000,)
    assert reply.output_sha256 == hashlib.sha256(b"hm\x1eyes").hexdigest()
    assert output_sha256("", "hmyes") != reply.output_sha256


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_lines_do_not_care_how_they_were_cut(cuts: list[int]) -> None:
    """Each line has the stamp of the piece that completed it."""
    body = b'{"a":1}\n{"b":2}\n\n{"c":3}\n{"d":4}'
    pieces, rest = [], body
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    arrivals = Arrivals()
    stamps = iter(range(100))
    arrivals.collect([*(piece for piece in pieces if piece), rest or b"\n"], lambda: next(stamps))
    lines = list(arrivals.lines())
    assert [line for _, line in lines] == [b'{"a":1}', b'{"b":2}', b'{"c":3}', b'{"d":4}']
    for stamp, line in lines[:-1]:
        end = body.index(line) + len(line) + 1
        came = [
            sum(map(len, arrivals.pieces[: count + 1])) for count in range(len(arrivals.pieces))
        ]
        assert stamp == next(count for count, total in enumerate(came) if total >= end)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=50), st.integers(0, 10**15))
def test_gaps_never_drift(steps: list[int], start: int) -> None:
    stamps = [start + sum(steps[:count]) for count in range(len(steps))]
    gaps = gaps_us(stamps)
    assert len(gaps) == len(stamps) - 1
    assert abs(sum(gaps) * 1000 - (stamps[-1] - stamps[0])) <= 500


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2060, 1, 1)))
def test_server_time_is_exact(moment: datetime) -> None:
    whole = moment.replace(tzinfo=UTC, microsecond=0)
    nanoseconds = moment.microsecond * 1000 + 7
    text = f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"
    assert unix_ns(text) == int(whole.timestamp()) * 10**9 + nanoseconds


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T02:00:01.000000001+02:00", 1_000_000_001),
        ("1969-12-31T19:00:01-05:00", 10**9),
        ("yesterday", None),
        ("2026-13-41T00:00:01Z", None),
        (None, None),
        (7, None),
    ],
)
def test_forms_of_server_time(text: object, ns: int | None) -> None:
    assert unix_ns(text) == ns


def _ask(**changes: Any) -> Ask:
    options = {"num_ctx": 512, "num_predict": 8, "seed": 1, "temperature": 0.0}
    plain = {"model": "m", "api": "generate", "prompt": "p", "options": options}
    return Ask(**{**plain, **changes})


def test_a_raw_request_leaves_nothing_to_a_default() -> None:
    assert request_body(_ask(think="low")) == {
        "model": "m",
        "stream": True,
        "raw": True,
        "prompt": "p",
        "options": {**_ask().options, "draft_num_predict": 0},
        "truncate": False,
        "shift": False,
        "keep_alive": "30m",
    }


def test_drafts_are_asked_for_where_the_trial_does() -> None:
    asked = {**_ask().options, "draft_num_predict": 4}
    assert request_body(_ask(options=asked))["options"] == asked


def test_a_chat_has_system_and_user_and_thinks_as_asked() -> None:
    body = request_body(_ask(api="chat", system="s", think=False))
    assert body["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "p"},
    ]
    assert body["think"] is False
    assert "prompt" not in body
    plain = request_body(_ask(api="chat"))
    assert "think" not in plain
    assert plain["messages"] == [{"role": "user", "content": "p"}]


def test_no_request_without_an_end() -> None:
    with pytest.raises(RequestRefused, match="no end"):
        request_body(_ask(options={"num_predict": 0}))


def test_block_sizes_are_those_of_ggml() -> None:
    gguf = pytest.importorskip("gguf", reason="needs the extra `embedded`")
    for number, name in GGML_TYPES.items():
        assert gguf.GGMLQuantizationType(number).name == name
        assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(number)] == BLOCKS[name]


def test_tensor_bytes_are_exact_or_unknown() -> None:
    tensors = [
        {"name": "a", "type": "MXFP4", "shape": [64, 32, 4]},
        {"name": "b", "type": "F32", "shape": [10]},
    ]
    assert tensors_bytes(listed_tensors(tensors)) == 64 * 32 * 4 * 17 // 32 + 40
    unknown = {"name": "c", "type": "Q9_X", "shape": [32]}
    assert tensors_bytes(listed_tensors([*tensors, unknown])) is None
    assert tensors_bytes(listed_tensors(None)) is None
    assert tensors_bytes(listed_tensors([])) is None
