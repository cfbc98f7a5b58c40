"""One trial through its ports; the engine here is a small honest one that counts words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from fleet.errors import (
    EngineUnreachable,
    Interrupted,
    ModelMissing,
    SettingFailed,
    SettingStuck,
)
from fleet.model.job import Job, Point
from fleet.model.machine import Drafts, EngineFacts, Fingerprint, ModelFacts, Proofs
from fleet.model.measure import Ask, Placement, Reading, Reply, TrialResult
from fleet.model.settings import Value
from fleet.model.trial import Attempt, Trial
from fleet.ports import InForce, Say, Stop
from fleet.runner.trial import run_trial
from fleet.runner.trial_log import TrialLog
from fleet.runner.trial_ports import TrialPorts
from fleet.units import NS_PER_S
from tests import builders

PLACE = Fingerprint(facts=(), hardware_id="h", software_id="s", condition_id="c")


class SteppedClock:
    def __init__(self) -> None:
        self.now_ns = 5_000

    def unix_ns(self) -> int:
        return 1_700_000_000_000_000_000

    def monotonic_ns(self) -> int:
        self.now_ns += 1_000
        return self.now_ns

    def suspended_ns(self) -> int:
        return 0

    def sleep(self, seconds: float, stop: Stop) -> None:
        self.now_ns += int(seconds * 1e9)


@dataclass
class WordEngine:
    """Counts words plus BOS; keeps what it was asked; fails where it is told to."""

    clock: SteppedClock
    tokens_per_word: int = 1
    fail_at: int | None = None
    stop_at: int | None = None
    digest: str = "sha256:aa"
    drafts: Drafts | None = None
    model_format: str | None = None
    other_digests: tuple[str, ...] = ()
    asked: list[Ask] = field(default_factory=list)
    loads: list[Mapping[str, Value]] = field(default_factory=list)
    unloads: int = 0
    loaded: bool = False

    def facts(self) -> EngineFacts:
        proofs = Proofs(exact_counts=True, server_clock=True, cache_off=True, placement=True)
        return EngineFacts(kind="embedded", version="1", proofs=proofs)

    def models(self) -> Sequence[ModelFacts]:
        return ()

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        return self.describe(model)

    def describe(self, model: str) -> ModelFacts:
        if model == "absent":
            raise ModelMissing("absent is not here", "ollama pull absent")
        return ModelFacts(
            name=model,
            digest=self.digest,
            size_bytes=10,
            drafts=self.drafts,
            model_format=self.model_format,
            other_digests=self.other_digests,
        )

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        self.loads.append(options)
        self.loaded = True

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        if len(self.asked) == self.stop_at:
            raise Interrupted("stopped")
        self.asked.append(ask)
        words = len(ask.prompt.split()) * self.tokens_per_word
        reply = builders.reply(
            sent_ns=self.clock.monotonic_ns(),
            ended_ns=self.clock.monotonic_ns(),
            first_chunk_ns=None,
            first_answer_ns=None,
            last_chunk_ns=None,
            prompt_tokens=1 + words,
            output_tokens=ask.output_tokens,
        )
        if len(self.asked) - 1 == self.fail_at:
            return replace(reply, error="the connection broke", error_reason="stream_broken")
        return reply

    def placement(self, model: str) -> Placement | None:
        """Of MLX the memory grows with each request."""
        grown = len(self.asked) if self.model_format == "safetensors" else 0
        size = 10 + grown
        return Placement(size_bytes=size, gpu_bytes=size, context_length=1024, digest="bb")

    def unload(self, model: str) -> None:
        self.unloads += 1
        self.loaded = False

    def close(self) -> None: ...


def run(engine: WordEngine, **changes: object) -> TrialResult:
    ports = TrialPorts(engine, lambda: PLACE, engine.clock, threading.Event())
    return run_trial(builders.attempt(**changes), ports)


@pytest.fixture
def engine() -> WordEngine:
    return WordEngine(SteppedClock())


@pytest.mark.parametrize(("num_ctx", "loads"), [(1024, 0), (2048, 1)])
def test_a_quick_look_leaves_a_model_that_is_loaded_as_asked_where_it_is(
    engine: WordEngine, num_ctx: int, loads: int
) -> None:
    """The engine says that it has the model in memory, with a context of 1024."""
    result = run(engine, job=builders.job(answer_s=3.0), settings={"num_ctx": num_ctx})
    assert (result.outcome, len(engine.loads)) == ("ok", loads)
    assert engine.unloads == 2 * loads
    assert (result.load_ns is None) == (not loads)


@pytest.mark.parametrize(
    ("drafts", "asked", "warm_ups"),
    [("yes", 1, 3), ("yes", 5, 5), ("yes", 0, 0), ("no", 1, 1), (None, 1, 1)],
)
def test_a_model_with_drafts_is_warmed_up_three_times(
    engine: WordEngine, drafts: Drafts | None, asked: int, warm_ups: int
) -> None:
    engine.drafts = drafts
    result = run(engine, job=builders.job(warmup=asked))
    assert sum(record.warmup for record in result.requests) == warm_ups


@pytest.mark.parametrize(
    ("asked", "drafts"),
    [({}, "no"), ({"draft_num_predict": 0}, "no"), ({"draft_num_predict": 4}, "yes")],
)
def test_llama_server_drafts_where_the_trial_asks_for_it(
    engine: WordEngine, asked: dict[str, int], drafts: Drafts
) -> None:
    engine.drafts = "no"
    result = run(engine, settings={"num_ctx": 1024, **asked})
    assert result.drafts == drafts
    options = [each.options.get("draft_num_predict") for each in engine.asked]
    assert set(options) == {asked.get("draft_num_predict")}


PAIR = (Point(prompt_tokens=512, output_tokens=1), Point(prompt_tokens=16, output_tokens=128))


def test_prompts_of_exact_points_have_exactly_the_tokens_asked_for(engine: WordEngine) -> None:
    result = run(engine, job=builders.exact_job(*PAIR))
    measured = [r for r in result.requests if not r.warmup]
    assert {r.point for r in measured} == {"pp512", "tg128"}
    assert all(r.reply.prompt_tokens == r.prompt_tokens_asked for r in measured)
    assert all(r.output_tokens_asked == r.reply.output_tokens for r in measured)


def test_a_vocabulary_that_splits_words_is_fitted_on_the_engine(engine: WordEngine) -> None:
    engine.tokens_per_word = 3
    point = Point(prompt_tokens=601, output_tokens=1)
    result = run(engine, job=builders.exact_job(point))
    assert [r.reply.prompt_tokens for r in result.requests if not r.warmup] == [601] * 3


def test_a_machine_looked_at_right_before_is_not_looked_at_again(engine: WordEngine) -> None:
    looks: list[Fingerprint] = []

    def look() -> Fingerprint:
        looks.append(PLACE)
        return PLACE

    ports = TrialPorts(engine, look, engine.clock, threading.Event())
    assert run_trial(builders.attempt(), ports).fingerprint is PLACE
    assert len(looks) == 2
    before = replace(PLACE, condition_id="before")
    result = run_trial(builders.attempt(), replace(ports, fingerprint=before))
    assert (result.fingerprint, len(looks)) == (before, 3)


def test_a_clock_that_is_set_meanwhile_is_told_even_if_it_is_set_back(engine: WordEngine) -> None:
    seconds = [0, -5, 2, 0]
    clock = engine.clock

    class Set(SteppedClock):
        def unix_ns(self) -> int:
            return clock.unix_ns() + clock.now_ns + seconds.pop(0) * 10**9

        def monotonic_ns(self) -> int:
            return clock.monotonic_ns()

    ports = TrialPorts(engine, lambda: PLACE, Set(), threading.Event())
    result = run_trial(builders.attempt(job=builders.exact_job(*PAIR)), ports)
    assert result.clock_step_ns == pytest.approx(-5e9, abs=1e8)
    assert seconds == [], "read at the beginning, after each point and at the end"


def test_the_model_is_loaded_fresh_once_and_unloaded_at_the_end(engine: WordEngine) -> None:
    result = run(engine)
    assert result.outcome == "ok"
    assert engine.loads == [{"num_ctx": 1024, "num_batch": 512}]
    assert not engine.loaded
    assert result.load_ns is not None
    assert result.placement is not None
    assert (result.placement.size_bytes, result.placement.context_length) == (10, 1024)


@pytest.mark.parametrize(("model_format", "memory"), [("safetensors", 13), ("gguf", None)])
def test_what_a_model_on_mlx_holds_is_known_after_its_last_request(
    engine: WordEngine, model_format: str, memory: int | None
) -> None:
    engine.model_format = model_format
    result = run(engine)
    assert (result.placement and result.placement.size_bytes, len(engine.asked)) == (10, 3)
    assert result.memory_after_bytes == memory


@pytest.mark.parametrize(("others", "reason"), [(("bb",), "digest_changed"), (("cc",), "")])
def test_a_load_that_takes_another_variant_measures_nothing(
    engine: WordEngine, others: tuple[str, ...], reason: str
) -> None:
    """The engine says that it loaded bb; the plan is made for sha256:aa."""
    engine.other_digests = others
    result = run(engine)
    assert result.reason == reason
    assert (engine.asked == []) == bool(reason)
    assert not engine.loaded


def test_every_request_sends_everything_and_has_a_nonce_of_its_own(engine: WordEngine) -> None:
    run(engine)
    assert len({ask.system for ask in engine.asked}) == len(engine.asked) == 3
    for ask in engine.asked:
        assert set(ask.options) == {"num_ctx", "num_batch", "temperature", "seed", "num_predict"}


def test_the_same_trial_on_another_machine_asks_the_same(engine: WordEngine) -> None:
    other = WordEngine(SteppedClock())
    run(engine, job=builders.exact_job(*PAIR), machine="studio-96")
    run(other, job=builders.exact_job(*PAIR), machine="max-128")
    assert engine.asked == other.asked


def test_cold_loads_unload_before_each_measured_request(engine: WordEngine) -> None:
    run(engine, job=builders.job(load="request", requests=3))
    assert engine.unloads == 1 + 3 + 1


def test_a_cut_trial_asks_once_per_point(engine: WordEngine) -> None:
    result = run(engine, cut=True)
    assert [r.warmup for r in result.requests] == [True, False]
    assert result.trial.cut


def test_a_request_that_breaks_fails_the_trial_and_keeps_what_came_before(
    engine: WordEngine,
) -> None:
    engine.fail_at = 1
    result = run(engine)
    assert (result.outcome, result.reason, result.transient) == ("failed", "stream_broken", True)
    assert result.detail == "the connection broke"
    assert [r.reply.error for r in result.requests] == [None, "the connection broke"]
    assert not engine.loaded


def test_stop_makes_a_cancelled_result(engine: WordEngine) -> None:
    engine.stop_at = 1
    result = run(engine)
    assert result.outcome == "cancelled"
    assert len(result.requests) == 1


def test_another_model_under_the_same_name_is_refused_before_anything_is_loaded(
    engine: WordEngine,
) -> None:
    result = run(engine, digest="sha256:bb")
    assert (result.outcome, result.reason, result.transient) == ("failed", "digest_changed", False)
    assert engine.loads == []


def test_a_missing_model_is_a_result_too(engine: WordEngine) -> None:
    result = run(engine, model="absent")
    assert (result.outcome, result.reason) == ("failed", "model_missing")
    assert result.requests == ()


def test_an_engine_that_cannot_unload_at_the_end_fails_the_trial(engine: WordEngine) -> None:
    unload = engine.unload

    def gone(model: str) -> None:
        unload(model)
        if engine.unloads > 1:
            raise EngineUnreachable("gone")

    engine.unload = gone  # type: ignore[method-assign]
    assert run(engine).reason == "engine_unreachable"


def test_stamps_count_from_the_trials_zero(engine: WordEngine) -> None:
    result = run(engine)
    for record in result.requests:
        assert 0 < record.reply.sent_ns < record.reply.ended_ns < result.duration_ns


def test_points_come_in_a_seeded_order_that_changes_with_the_block(engine: WordEngine) -> None:
    points = tuple(Point(prompt_tokens=n, output_tokens=1) for n in (16, 32, 64, 128))
    job = Job(name="many", api="generate", points=points, requests=1, warmup=0)
    orders = {
        tuple(r.point for r in run(engine, job=job, block=block).requests if not r.warmup)
        for block in range(6)
    }
    assert len(orders) > 1


def test_a_fixed_prompt_goes_out_alone_and_from_a_fresh_load_each_time(engine: WordEngine) -> None:
    fixed = {"load": "request", "warmup": 0, "fixed_prompt": True}
    first = run(engine, job=builders.job(**fixed))
    run(engine, job=builders.job(**fixed), block=1)
    run(engine, job=builders.job(**fixed, api="generate"))
    prompts = {(ask.system, ask.prompt) for ask in engine.asked}
    assert prompts == {(None, "why is gold yellow")}
    assert [record.nonce for record in first.requests] == ["", ""]
    assert len(engine.asked) == 6
    assert engine.unloads == 3 * (1 + 2 + 1)


def test_an_answer_to_a_fixed_prompt_may_end_where_it_ends(
    engine: WordEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = engine.ask
    stopped = lambda asked, stop: replace(ask(asked, stop), done_reason="stop")  # noqa: E731
    monkeypatch.setattr(engine, "ask", stopped)
    result = run(engine, job=builders.job(load="request", warmup=0, fixed_prompt=True))
    assert [record.reply.done_reason for record in result.requests] == ["stop", "stop"]
    assert [record.output_tokens_asked for record in result.requests] == [None, None]


@dataclass
class OwnSettings:
    """Another engine is in force inside; whether it is now, and how it was entered."""

    own: WordEngine
    fail: SettingFailed | SettingStuck | None = None
    inside: bool = False

    @contextmanager
    def __call__(self, attempt: Attempt, engine: object, stop: Stop) -> Iterator[InForce]:
        if isinstance(self.fail, SettingFailed):
            raise self.fail
        self.inside = True
        yield InForce(
            engine=self.own, restarted=True, wired_limit_mb=81_920, gpu_limit_mb=81_920,
            environment={"OLLAMA_KV_CACHE_TYPE": "q8_0"},
        )  # fmt: skip
        self.inside = False
        if self.fail is not None:
            raise self.fail


def run_with(engine: WordEngine, settings: OwnSettings) -> TrialResult:
    ports = TrialPorts(engine, lambda: PLACE, engine.clock, threading.Event(), applied=settings)
    return run_trial(builders.attempt(), ports)


def test_settings_are_in_force_for_an_engine_of_their_own(engine: WordEngine) -> None:
    own = OwnSettings(WordEngine(engine.clock))
    result = run_with(engine, own)
    assert (result.outcome, own.inside) == ("ok", False)
    assert len(own.own.loads) == 1
    assert (engine.loads, engine.asked, engine.unloads) == ([], [], 0), "the owner's is left alone"
    assert (result.wired_limit_applied_mb, result.gpu_limit_effective_mb) == (81_920, 81_920)
    assert result.engine_environment_applied == {"OLLAMA_KV_CACHE_TYPE": "q8_0"}
    assert result.engine_restarted


@pytest.mark.parametrize("problem", [SettingFailed("not set", ""), SettingStuck("stuck", "hint")])
def test_a_setting_that_fails_is_a_failed_row(
    engine: WordEngine, problem: SettingFailed | SettingStuck
) -> None:
    result = run_with(engine, OwnSettings(WordEngine(engine.clock), fail=problem))
    assert (result.outcome, result.reason, result.transient) == ("failed", problem.reason, True)
    assert result.fingerprint is not None


def test_the_machine_is_read_from_before_the_load_until_all_is_asked(engine: WordEngine) -> None:
    seen: list[tuple[str, int, int]] = []

    @contextmanager
    def sampling(trial: Trial, zero_ns: int, into: list[Reading]) -> Iterator[None]:
        into.append(Reading(offset_ns=1, metric="gpu_power_w", source="test", value=zero_ns))
        seen.append(("begun", len(engine.loads), len(engine.asked)))
        try:
            yield
        finally:
            seen.append(("ended", len(engine.loads), len(engine.asked)))

    ports = TrialPorts(engine, lambda: PLACE, engine.clock, threading.Event(), sampling=sampling)
    engine.fail_at = 1
    result = run_trial(builders.attempt(), ports)
    assert seen == [("begun", 0, 0), ("ended", 1, 2)]
    assert [reading.value for reading in result.readings] == [result.zero_ns]
    assert result.outcome == "failed"


def test_a_step_of_the_clock_is_told_from_the_begin_of_the_trial_on() -> None:
    """On a machine that has run for a day and slept for an hour; it sleeps in the trial too."""
    clock = builders.SteppedClock(now_ns=86_400 * NS_PER_S, slept_ns=3_600 * NS_PER_S)
    course = TrialLog.begun(clock)
    clock.now_ns += 7 * NS_PER_S
    clock.slept_ns += 2 * NS_PER_S
    course.check_clocks(clock)
    assert course.clock_step_ns == 0
    clock.unix_zero_ns -= 5 * NS_PER_S
    course.check_clocks(clock)
    clock.unix_zero_ns += 8 * NS_PER_S
    course.check_clocks(clock)
    assert course.clock_step_ns == -5 * NS_PER_S, "the farthest, not the last"
