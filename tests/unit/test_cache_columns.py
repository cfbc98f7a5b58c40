"""What the place of a request in its trial says of the cache it met."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fleet.model.job import Job
from fleet.model.machine import Fact, Fingerprint
from fleet.model.measure import RequestRecord, TrialResult
from fleet.runner.cache_columns import cache_columns
from tests import builders


def result(*requests: RequestRecord, **job: Any) -> TrialResult:
    asked = Job(name="gold", prompt="why?", **job)
    return builders.result(builders.attempt(job=asked), requests=requests)


def record(index: int, *, prompt_ns: int | None = 100, **changes: Any) -> RequestRecord:
    tokens = changes.pop("prompt_tokens", 12)
    reply = builders.reply(prompt_ns=prompt_ns, prompt_tokens=tokens)
    return builders.record(index=index, reply=reply, **{"nonce": f"n{index}", **changes})


def column(name: str, found: TrialResult) -> list[object]:
    return [columns[name] for columns in cache_columns(found)]


def test_requests_are_counted_since_the_model_was_loaded() -> None:
    records = [record(0, warmup=True), record(1), record(2)]
    assert column("since_load", result(*records)) == [0, 1, 2]
    assert column("since_load", result(*records, load="request")) == [0, 0, 0]


def test_a_prompt_without_words_of_its_own_repeats_the_one_before() -> None:
    same = [record(0, nonce=""), record(1, nonce=""), record(2, nonce="", point="other")]
    assert column("repeats_before", result(*same)) == [0, 1, 0]
    assert column("repeats_before", result(*same, load="request")) == [0, 0, 0]
    assert column("repeats_before", result(record(0), record(1))) == [0, 0]


def test_what_is_reused_on_purpose_is_no_repeat() -> None:
    primed = [record(0, nonce="a"), record(1, nonce="a", reused_tokens=4096)]
    assert column("repeats_before", result(*primed)) == [0, 0]


def test_the_history_of_a_turn_is_the_prompt_of_the_turn_before() -> None:
    def turn(index: int, number: int, nonce: str, **own: Any) -> RequestRecord:
        reply = builders.reply(prompt_tokens=100 * (number + 1))
        return builders.record(index, **{"turn": number, "nonce": nonce, "reply": reply, **own})

    first = [turn(0, 0, "a", warmup=True), turn(1, 0, "b"), turn(2, 1, "b"), turn(3, 2, "b")]
    anew = [turn(4, 0, "c"), turn(5, 1, "d")]
    assert column("history_tokens", result(*first, *anew)) == [None, None, 100, 200, None, None]
    assert column("history_tokens", result(record(0), record(1))) == [None, None]


def test_siblings_are_of_one_point_and_length_and_at_least_three() -> None:
    own = [record(n, prompt_ns=ns) for n, ns in enumerate((100, 300, 200))]
    other = [record(3, prompt_ns=9, point="other"), record(4, prompt_ns=7, prompt_tokens_asked=5)]
    failed = record(5, prompt_ns=None)
    assert column("sibling_prompt_ns", result(*own, *other, failed)) == [
        *(200, 200, 200, None, None, 200)
    ]
    assert column("sibling_prompt_ns", result(*own[:2])) == [None, None]


def test_the_least_time_is_that_of_reading_the_weights() -> None:
    fast = Fingerprint(
        facts=(Fact(name="memory_bandwidth_gb_s", value=800.0, source="test"),),
        hardware_id="h",
        software_id="s",
        condition_id="c",
    )
    reply = builders.reply(prompt_tokens=1100, output_tokens=101)
    asked = (builders.record(reply=reply), builders.record(reply=reply, reused_tokens=600))
    known = replace(result(*asked), active_bytes=4_000_000_000, fingerprint=fast)
    per_read = 4_000_000_000 / 800
    assert column("least_output_ns", known) == [100 * per_read] * 2
    assert column("least_prompt_ns", known) == [2 * per_read, 0]  # batches of 512
    assert column("least_output_ns", replace(known, active_bytes=None)) == [None, None]
    assert column("least_prompt_ns", replace(known, fingerprint=None)) == [None, None]


def test_mlx_reads_the_weights_for_each_token_and_drafts_nobody_knows_how_often() -> None:
    fast = Fingerprint(
        facts=(Fact(name="memory_bandwidth_gb_s", value=1.0, source="test"),),
        hardware_id="h",
        software_id="s",
        condition_id="c",
    )
    reply = builders.reply(prompt_tokens=4097, output_tokens=101, cached_tokens=1)
    asked = result(builders.record(reply=reply))
    plain = replace(
        asked, active_bytes=1, fingerprint=fast, model_format="safetensors", drafts="no"
    )
    assert column("least_output_ns", plain) == [101]
    assert column("least_prompt_ns", plain) == [1]  # the last of 4096 is timed with the output
    drafting = replace(plain, drafts="yes")
    assert (
        column("least_output_ns", drafting)
        == column("least_output_ns", replace(plain, drafts=None))
        == [None]
    )
