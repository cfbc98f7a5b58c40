"""What a trial asks for each kind of workload, on the small honest engine of `test_runner`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from fleet.errors import Interrupted
from fleet.model.job import Job, Point
from fleet.model.machine import EngineFacts, ModelFacts
from fleet.model.measure import Ask, Reply, RequestRecord, TrialResult
from fleet.ports import Stop
from fleet.prompts import NONCE_WORDS, WORDS
from fleet.runner.trial import run_trial
from fleet.runner.trial_ports import TrialPorts
from tests import builders
from tests.unit.test_runner import PLACE, SteppedClock, WordEngine

TURNS = ("why is gold yellow", "and silver", "and copper")


class WorkEngine(WordEngine):
    """Answers in words of its own, and lets a test change its replies."""

    def __init__(self, change: Callable[[Ask, Reply], Reply] = lambda ask, reply: reply) -> None:
        super().__init__(SteppedClock())
        self.change = change
        self.concurrent = True
        self.facts_of_model: dict[str, object] = {}
        self.lock = threading.Lock()

    def facts(self) -> EngineFacts:
        return replace(super().facts(), concurrent=self.concurrent)

    def describe(self, model: str) -> ModelFacts:
        return replace(super().describe(model), **self.facts_of_model)  # type: ignore[arg-type]

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        with self.lock:
            reply = super().ask(ask, stop)
        said = sum(len(text.split()) for pair in ask.history for text in pair)
        words = len(f"{ask.system or ''} {ask.prompt}".split()) + said
        reply = replace(reply, prompt_tokens=1 + words, cached_tokens=None, text="a b c")
        return self.change(ask, reply)


def run(engine: WorkEngine, job: Job, **changes: object) -> TrialResult:
    forget = changes.pop("forget_model", lambda model: model.file is not None)
    ports = TrialPorts(engine, lambda: PLACE, engine.clock, threading.Event(), forget)  # type: ignore[arg-type]
    return run_trial(builders.attempt(job=job, **changes), ports)


def measured(result: TrialResult) -> list[RequestRecord]:
    return [record for record in result.requests if not record.warmup]


def exact(*points: Point, **changes: object) -> Job:
    plain = {"name": "exact", "api": "generate", "points": points, "requests": 2, "warmup": 1}
    return Job(**{**plain, **changes})


def short(count: int) -> Callable[[Ask, Reply], Reply]:
    """The first `count` answers of more than one token end early."""
    left = [count]

    def change(ask: Ask, reply: Reply) -> Reply:
        if ask.output_tokens == 1 or not left[0]:
            return reply
        left[0] -= 1
        return replace(reply, output_tokens=3, done_reason="stop")

    return change


def test_a_short_answer_is_asked_for_again_with_other_words_and_every_try_is_kept() -> None:
    engine = WorkEngine(short(2))
    result = run(engine, builders.job(requests=2, warmup=0, points=(Point(output_tokens=8),)))
    assert [r.reply.done_reason for r in result.requests] == ["stop", "stop", "length", "length"]
    assert len({r.nonce for r in result.requests}) == 4
    assert result.outcome == "ok"


def test_tries_are_bounded_where_every_answer_is_short() -> None:
    result = run(WorkEngine(short(99)), builders.job(requests=2, warmup=0))
    assert len(result.requests) == 2 * 3
    assert result.outcome == "ok"


def test_prompts_of_a_length_are_plain_english_after_the_nonce() -> None:
    engine = WorkEngine()
    run(engine, exact(Point(prompt_tokens=400, output_tokens=4)))
    for ask in engine.asked[-2:]:
        words = ask.prompt.split()
        assert set(words[:NONCE_WORDS]) <= set(WORDS)
        assert len(set(words[NONCE_WORDS:]) - set(WORDS)) > 100
    first, second = (ask.prompt.split() for ask in engine.asked[-2:])
    assert first[:NONCE_WORDS] != second[:NONCE_WORDS]
    assert first[NONCE_WORDS:] == second[NONCE_WORDS:]
    assert len(engine.asked) == 2 + 1 + 1 + 2, "two small counts, one whole, a warm-up"


def test_synthetic_text_is_of_common_words_only() -> None:
    engine = WorkEngine()
    result = run(engine, exact(Point(prompt_tokens=400, output_tokens=4), text="synthetic"))
    assert {word for ask in engine.asked for word in ask.prompt.split()} <= set(WORDS)
    assert {r.reply.prompt_tokens for r in measured(result)} == {400}


def _evaluating(per_token_ns: int, cache: bool) -> Callable[[Ask, Reply], Reply]:
    """A prompt takes its time, less what begins as the prompt before."""
    last = [""]

    def change(ask: Ask, reply: Reply) -> Reply:
        before, last[0] = last[0], ask.prompt
        known = len(before.split()) + 1 if cache and before and ask.prompt.startswith(before) else 0
        tokens = len(ask.prompt.split()) + 1 - known
        return replace(reply, prompt_ns=max(tokens, 1) * per_token_ns)

    return change


DEEP = Point(prompt_tokens=64, output_tokens=4, depth_tokens=128)


def test_what_is_in_the_context_before_is_sent_before_and_not_measured() -> None:
    engine = WorkEngine(_evaluating(1000, cache=True))
    result = run(engine, exact(DEEP))
    assert [r.point for r in measured(result)] == ["tg4@d128"] * 2
    for record in measured(result):
        before = result.requests[record.index - 1]
        assert (before.warmup, before.reply.prompt_tokens) == (True, 128)
        assert before.nonce == record.nonce
        assert engine.asked[record.index].prompt.startswith(engine.asked[before.index].prompt)
        assert engine.asked[record.index].reuse
        assert (record.reply.prompt_tokens, record.reused_tokens) == (128 + 64, 128)


def test_a_depth_that_was_evaluated_anew_is_not_called_reused() -> None:
    result = run(WorkEngine(_evaluating(1000, cache=False)), exact(DEEP))
    assert [r.reused_tokens for r in measured(result)] == [None, None]


@pytest.mark.parametrize(("prompt_ns", "reused"), [(0, 128), (None, None)])
def test_a_prompt_that_took_no_time_was_reused_and_one_of_unknown_time_is_unknown(
    prompt_ns: int | None, reused: int | None
) -> None:
    evaluates = _evaluating(1000, cache=True)

    def change(ask: Ask, reply: Reply) -> Reply:
        answer = evaluates(ask, reply)
        return replace(answer, prompt_ns=prompt_ns) if ask.reuse else answer

    result = run(WorkEngine(change), exact(Point(output_tokens=4, depth_tokens=128)))
    assert [r.reused_tokens for r in measured(result)] == [reused] * 2


def test_streams_begin_at_one_moment_and_ask_one_after_the_other() -> None:
    engine = WorkEngine()
    result = run(engine, exact(Point(prompt_tokens=32, output_tokens=4, concurrency=3)))
    records = measured(result)
    assert len(records) == 3 * 2
    assert len({r.nonce for r in records}) == 6
    assert [r.index for r in result.requests] == list(range(len(result.requests)))
    assert {r.concurrency for r in records} == {3}
    firsts = []
    for stream in range(3):
        first, second = sorted((r for r in records if r.stream == stream), key=lambda r: r.index)
        assert first.due_ns is not None
        assert first.due_ns < first.reply.sent_ns
        assert second.due_ns == first.reply.ended_ns
        firsts.append(first.due_ns)
    assert len(set(firsts)) == 1


def test_a_stream_that_fails_ends_the_others_and_gives_the_reason() -> None:
    begun = threading.Barrier(3)

    class Waiting(WorkEngine):
        """One stream fails once all have asked; the others wait to be stopped."""

        def ask(self, ask: Ask, stop: Stop) -> Reply:
            reply = super().ask(ask, stop)
            if ask.output_tokens == 1 or not threading.current_thread().name.startswith("stream"):
                return reply
            if begun.wait(600) == 0:
                return replace(reply, error="the runner died", error_reason="stream_broken")
            assert any(stop.wait(0.01) for _ in range(60_000)), "nobody stopped this stream"
            raise Interrupted("stopped")

    result = run(Waiting(), exact(Point(prompt_tokens=32, output_tokens=4, concurrency=3)))
    assert (result.outcome, result.reason) == ("failed", "stream_broken")
    assert len(measured(result)) == 1


def test_an_engine_of_one_request_at_a_time_refuses_streams_before_it_loads() -> None:
    engine = WorkEngine()
    engine.concurrent = False
    result = run(engine, exact(Point(prompt_tokens=32, output_tokens=4, concurrency=3)))
    assert (result.outcome, result.reason, result.transient) == ("failed", "request_refused", False)
    assert "3 streams at once, and the embedded engine answers one request" in result.detail
    assert engine.loads == []


def test_a_conversation_sends_its_history_back() -> None:
    engine = WorkEngine()
    job = Job(name="talk", turns=TURNS, points=(Point(output_tokens=8),), requests=2)
    result = run(engine, job)
    records = measured(result)
    assert [(r.point, r.turn) for r in records] == [(f"talk@t{t}", t) for t in (0, 1, 2)] * 2
    asked = engine.asked[-3:]
    assert [ask.history for ask in asked] == [
        (),
        ((TURNS[0], "a b c"),),
        ((TURNS[0], "a b c"), (TURNS[1], "a b c")),
    ]
    assert len({ask.system for ask in asked}) == 1
    assert [ask.reuse for ask in asked] == [False, True, True]
    first, second, third = records[-3:]
    assert second.reused_tokens == (first.reply.prompt_tokens or 0) + 8 - 1
    assert third.reused_tokens == (second.reply.prompt_tokens or 0) + 8 - 1
    assert all(r.reply.text is None for r in result.requests), "kept for the next turn only"


def test_a_conversation_without_reuse_begins_each_turn_with_other_words() -> None:
    engine = WorkEngine()
    result = run(engine, Job(name="talk", turns=TURNS, reuse=False, requests=1, warmup=0))
    assert len({ask.system for ask in engine.asked}) == 3
    assert [len(ask.history) for ask in engine.asked] == [0, 1, 2]
    assert [r.reused_tokens for r in result.requests] == [0, None, None]


def test_what_is_reused_after_thinking_is_not_known() -> None:
    engine = WorkEngine(lambda ask, reply: replace(reply, first_thinking_ns=1))
    result = run(engine, Job(name="talk", turns=TURNS, requests=1, warmup=0))
    assert [r.reused_tokens for r in result.requests] == [0, None, None]


def test_an_engine_that_says_what_it_reused_is_believed() -> None:
    engine = WorkEngine(
        lambda ask, reply: replace(reply, first_thinking_ns=1, cached_tokens=9 if ask.reuse else 0)
    )
    result = run(engine, Job(name="talk", turns=TURNS, requests=1, warmup=0))
    assert [r.reused_tokens for r in result.requests] == [0, 9, 9]


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"api": "chat"}, [0, None, None]),
        ({"api": "chat", "load": "request"}, [0, 0, 0]),
        ({"api": "generate"}, [0, 0, 0]),
    ],
)
def test_the_head_of_a_chat_template_is_new_only_to_an_engine_that_was_just_loaded(
    changes: dict[str, str], known: list[int | None]
) -> None:
    result = run(WorkEngine(), Job(name="j", prompt="x", requests=3, warmup=0, **changes))
    assert [r.reused_tokens for r in result.requests] == known


def test_a_soak_repeats_until_its_time_is_over() -> None:
    engine = WorkEngine()

    def slow(ask: Ask, reply: Reply) -> Reply:
        engine.clock.now_ns += 1_000_000_000
        return reply

    engine.change = slow
    result = run(engine, exact(Point(prompt_tokens=32, output_tokens=4, seconds=9.5)))
    assert len(measured(result)) == 10
    cut = run(engine, exact(Point(prompt_tokens=32, output_tokens=4, seconds=9.5)), cut=True)
    assert len(measured(cut)) == 1


@pytest.mark.parametrize(("gone", "name"), [(True, "cold@cold"), (False, "cold@warm")])
def test_a_load_is_cold_only_where_the_file_left_the_memory(gone: bool, name: str) -> None:
    engine = WorkEngine()
    engine.facts_of_model = {"file": "/blobs/sha256-aa"}
    seen: list[tuple[str, bool]] = []

    def forget(model: ModelFacts) -> bool:
        seen.append((str(model.file), engine.loaded))
        return gone

    job = Job(name="cold", prompt="x", load="request", page_cache="drop", requests=2, warmup=0)
    result = run(engine, job, forget_model=forget)
    assert [r.point for r in result.requests] == [name] * 2
    assert seen == [("/blobs/sha256-aa", False)] * 2, "a loaded model holds its file in memory"


def test_an_engine_that_does_not_say_where_the_file_lies_has_no_cold_load() -> None:
    job = Job(name="cold", prompt="x", load="request", page_cache="drop", requests=1, warmup=0)
    assert [r.point for r in run(WorkEngine(), job).requests] == ["cold@warm"]


@pytest.mark.parametrize(
    ("api", "asked", "default", "sent"),
    [
        ("chat", None, "medium", "medium"),
        ("chat", "high", "medium", "high"),
        ("chat", False, True, False),
        ("chat", None, None, None),
        ("generate", None, True, None),
    ],
)
def test_thinking_is_never_left_to_a_default(
    api: str, asked: object, default: object, sent: object
) -> None:
    engine = WorkEngine()
    engine.facts_of_model = {"default_think": default}
    result = run(engine, Job(name="j", prompt="x", api=api, think=asked))
    assert {ask.think for ask in engine.asked} == {sent}
    assert result.think == sent


def test_the_machine_is_looked_at_again_after_a_trial_that_went_well() -> None:
    engine = WorkEngine()
    engine.facts_of_model = {"active_bytes": 7}
    result = run(engine, builders.job())
    assert (result.fingerprint_after, result.active_bytes) == (PLACE, 7)
    assert run(engine, builders.job(), model="absent").fingerprint_after is None


def test_a_deep_warm_up_is_as_what_is_measured_and_begins_as_what_was_fitted() -> None:
    engine = WorkEngine(_evaluating(1000, cache=True))
    result = run(engine, exact(DEEP))
    warm = [r for r in result.requests if r.warmup and r.output_tokens_asked == 4]
    assert [(r.reply.prompt_tokens, r.reply.prompt_ns) for r in warm] == [(192, 64_000)]
    fitted = result.requests[0].nonce
    assert warm[0].nonce == fitted
    assert fitted not in {r.nonce for r in measured(result)}


def test_the_warm_up_of_a_conversation_is_its_first_turn_alone() -> None:
    job = Job(name="talk", turns=TURNS, points=(Point(output_tokens=8),), requests=1, warmup=1)
    records = run(WorkEngine(), job).requests
    assert [record.warmup for record in records] == [True, *[False] * len(TURNS)]
    assert records[0].point == "talk@t0"


def writes_slowly(ask: Ask, reply: Reply) -> Reply:
    """Ten tokens per second after the first."""
    return replace(reply, output_ns=(ask.output_tokens - 1) * 100_000_000)


def test_answers_of_a_quick_look_are_cut_to_what_fits_in_their_time() -> None:
    points = (Point(output_tokens=128), Point(output_tokens=8, label="brief"))
    job = builders.job(requests=1, warmup=1, points=points, answer_s=3.0)
    records = run(WorkEngine(writes_slowly), job).requests
    asked = {(r.point, r.warmup): r.output_tokens_asked for r in records}
    assert asked == {
        ("gold", True): 16,
        ("gold", False): 31,
        ("brief", True): 8,
        ("brief", False): 8,
    }
    assert {record.most_output_ns for record in records} == {3 * 10**9}


def test_a_slow_model_still_writes_enough_for_a_rate_in_a_quick_look() -> None:
    """At half a token per second two would fit; `decode_tokens_per_s` needs 16 of a quick look."""
    points = (Point(output_tokens=128), Point(output_tokens=8, label="brief"))
    job = builders.job(requests=1, warmup=1, points=points, answer_s=3.0)

    def crawls(ask: Ask, reply: Reply) -> Reply:
        return replace(reply, output_ns=(ask.output_tokens - 1) * 2_000_000_000)

    records = measured(run(WorkEngine(crawls), job))
    assert {r.point: r.output_tokens_asked for r in records} == {"gold": 16, "brief": 8}


def test_only_a_quick_look_cuts_answers() -> None:
    job = builders.job(requests=1, warmup=1, points=(Point(output_tokens=128),))
    records = run(WorkEngine(writes_slowly), job).requests
    assert [(r.output_tokens_asked, r.most_output_ns) for r in records] == [(128, None)] * 2


def test_every_stream_of_a_quick_look_goes_by_the_warm_up() -> None:
    points = (Point(output_tokens=128, concurrency=3),)
    job = builders.job(requests=1, warmup=1, points=points, answer_s=3.0)
    records = measured(run(WorkEngine(writes_slowly), job))
    assert [record.output_tokens_asked for record in records] == [31, 31, 31]


def nonces(job: Job, submission: str, fence: int = 0) -> set[str]:
    engine = WorkEngine()
    ports = TrialPorts(engine, lambda: PLACE, engine.clock, threading.Event())
    attempt = replace(builders.attempt(job=job), submission_id=submission, fence=fence)
    return {record.nonce for record in run_trial(attempt, ports).requests}


@pytest.mark.parametrize("points", [(Point(output_tokens=128),), (DEEP,)], ids=["chat", "exact"])
def test_a_second_quick_look_asks_with_other_words(points: tuple[Point, ...]) -> None:
    """A quick look leaves the model loaded, and the engine remembers the prompts of the first."""
    changes = {"requests": 1, "warmup": 1, "points": points, "answer_s": 3.0}
    job = exact(*points, **changes) if points == (DEEP,) else builders.job(**changes)
    first, second, again = nonces(job, "a"), nonces(job, "b"), nonces(job, "b", fence=1)
    assert first.isdisjoint(second | again)
    assert second.isdisjoint(again)


def test_a_measurement_asks_with_the_same_words_in_every_submission() -> None:
    assert nonces(exact(DEEP), "a") == nonces(exact(DEEP), "b")


def test_bursts_are_work_and_pauses_in_turn() -> None:
    engine = WorkEngine()
    point = Point(prompt_tokens=32, output_tokens=4, burst=2, pause_s=30)
    result = run(engine, exact(point, requests=5, warmup=0))
    sent = [record.reply.sent_ns for record in measured(result)]
    ended = [record.reply.ended_ns for record in measured(result)]
    rests = [round((after - before) / 1e9) for before, after in zip(ended, sent[1:], strict=False)]
    assert rests == [0, 30, 0, 30]


def test_bursts_go_on_until_their_time_is_over() -> None:
    engine = WorkEngine()
    point = Point(prompt_tokens=32, output_tokens=4, seconds=70, burst=2, pause_s=30)
    result = run(engine, exact(point, warmup=0))
    last_ns = measured(result)[-1].reply.ended_ns
    assert 60e9 <= last_ns <= 130e9
    assert result.duration_ns >= 70e9


@pytest.mark.parametrize("changes", [{"burst": 2}, {"pause_s": 3.0}])
def test_a_burst_and_its_pause_belong_together(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="belong together"):
        Point(prompt_tokens=32, **changes)  # type: ignore[arg-type]
