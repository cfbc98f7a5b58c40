"""The schedule of a simulated answer: pure arithmetic."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines.simulated.answer import _stream
from fleet.engines.simulated.machine import ScriptedMachine
from fleet.engines.simulated.protocol import Lines
from fleet.engines.simulated.question import Question, Refusal, body_of, question_of
from fleet.engines.simulated.schedule import Schedule, Speeds, schedule
from fleet.model.script import MachineScript, ScriptedModel

MODEL = ScriptedModel(prefill_tokens_per_s=1000, decode_tokens_per_s=100)
ASKED = question_of(
    {"model": "m", "prompt": " a b c", "raw": True, "options": {"num_predict": 30}}, "generate"
)
LOAD_NS = 5_000_000


def _plan(
    *faults: str, question: Question = ASKED, model: ScriptedModel = MODEL, scale: float = 1.0
) -> Schedule:
    speeds = Speeds.of(model, factor=1.0, time_scale=scale)
    return schedule(question, model, speeds, LOAD_NS, faults)


def test_words_and_one_bos_are_the_prompt() -> None:
    assert ASKED.prompt_tokens == 4
    chat = {"model": "m", "messages": [{"content": "a b"}, {"content": "c"}]}
    assert question_of(chat, "chat").prompt_tokens == 4
    assert question_of({"model": "m", "prompt": ""}, "generate").prompt_tokens == 0


def test_times_are_those_of_the_script() -> None:
    plan = _plan()
    assert plan.prompt_ns == 4_000_000
    assert plan.due_ns == tuple(LOAD_NS + 4_000_000 + i * 10_000_000 for i in range(30))
    assert plan.counters(total_ns=7) == {
        "total_duration": 7,
        "load_duration": LOAD_NS,
        "prompt_eval_count": 4,
        "prompt_eval_duration": 4_000_000,
        "eval_count": 30,
        "eval_duration": 290_000_000,
    }


def test_time_scale_is_real_seconds_for_each_scripted_one() -> None:
    fast = _plan(scale=0.1)
    assert (fast.prompt_ns, fast.due_ns[1] - fast.due_ns[0]) == (400_000, 1_000_000)


@given(count=st.integers(1, 400), speed=st.floats(0.5, 50_000))
def test_errors_never_add_up(count: int, speed: float) -> None:
    model = ScriptedModel(prefill_tokens_per_s=1000, decode_tokens_per_s=speed)
    plan = _plan(question=replace(ASKED, num_predict=count), model=model)
    for number, due_ns in enumerate(plan.due_ns):
        assert abs(due_ns - plan.due_ns[0] - number * 1e9 / speed) <= 1


def test_each_fault_changes_what_it_names() -> None:
    plain = _plan()
    assert _plan("cached_prefix").prompt_ns == plain.prompt_ns // 50
    assert len(_plan("short_answer").due_ns) == 15
    assert _plan("short_answer").done_reason == "stop"
    assert _plan("wrong_prompt_count").counters(0)["prompt_eval_count"] == 2
    assert _plan("clock_wrong").counters(0)["eval_duration"] == 435_000_000
    assert _plan("clock_wrong").due_ns == plain.due_ns
    slow = _plan("slow_last_third").due_ns
    assert slow[:20] == plain.due_ns[:20]
    assert {after - before for before, after in pairwise(slow[19:])} == {20_000_000}


def test_an_answer_ends_where_the_script_the_request_or_the_context_says() -> None:
    ends = MODEL.model_copy(update={"answer_tokens": 12})
    assert (len(_plan(model=ends).due_ns), _plan(model=ends).done_reason) == (12, "stop")
    later = MODEL.model_copy(update={"answer_tokens": 31})
    assert (len(_plan(model=later).due_ns), _plan(model=later).done_reason) == (30, "length")
    small = replace(ASKED, context=16, num_predict=-1)
    assert (len(_plan(question=small).due_ns), _plan(question=small).done_reason) == (12, "length")


def test_an_overlong_prompt_is_cut_to_half_the_context() -> None:
    assert _plan(question=replace(ASKED, prompt_tokens=601, context=256)).prompt_tokens == 129


@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        (b"", 400, "missing request body"),
        (b"{", 400, "invalid character"),
        (b"[]", 400, "cannot unmarshal"),
        (b"{}", 400, "model is required"),
        (b'{"model":"m","options":{"num_ctx":"x"}}', 500, 'option "num_ctx" must be of type'),
        (b'{"model":"m","raw":true,"system":"s"}', 400, "raw mode does not support"),
    ],
)
def test_what_cannot_be_read_is_refused_as_the_real_server_does(
    content: bytes, status: int, text: str
) -> None:
    with pytest.raises(Refusal, match=text) as refusal:
        question_of(body_of(content), "generate")
    assert refusal.value.status == status


def _factors(seed: int, noise_percent: float) -> list[float]:
    script = MachineScript(
        chip="c", memory_gb=1, gpu_memory_mb=99, noise_percent=noise_percent, models={"m": MODEL}
    )
    machine = ScriptedMachine(script, seed)
    factors = []
    for _ in range(4):
        factors.append(machine.load(ASKED)[0].speeds.decode_ns / 1e7)
        machine.unload("m")
    return factors


def test_noise_is_new_for_each_load_and_the_same_for_each_seed() -> None:
    assert _factors(1, 0) == pytest.approx([1.0] * 4)
    assert _factors(1, 5) == _factors(1, 5)
    assert len(set(_factors(1, 5))) == 4
    assert _factors(1, 5) != _factors(2, 5)
    assert all(0.7 < factor < 1.4 for factor in _factors(1, 5))


def test_a_loaded_model_is_loaded_again_only_for_other_options() -> None:
    script = MachineScript(chip="c", memory_gb=1, gpu_memory_mb=1, models={"m": MODEL})
    machine = ScriptedMachine(script, 0)
    cold_ns = machine.load(ASKED)[1]
    assert cold_ns == 200_000_000
    assert machine.load(ASKED)[1] < 1_000_000
    assert machine.load(replace(ASKED, load_options=(8192,)))[1] == cold_ns


class _Waits:
    """A wire that only notes until when it was to wait."""

    def __init__(self) -> None:
        self.until_ns: list[int] = []

    def wait_until(self, due_ns: int) -> None:
        self.until_ns.append(due_ns)

    def begin_lines(self) -> None: ...

    def line(self, line: bytes) -> None: ...


@pytest.mark.parametrize("catches_up", [True, False])
def test_a_server_kept_from_the_cpu_catches_up_only_with_its_script(catches_up: bool) -> None:
    plan, wire = _plan(), _Waits()
    second_ago_ns = time.monotonic_ns() - 1_000_000_000
    lines = Lines(ASKED, 30, unasked=False)
    _stream(wire, lines, plan, second_ago_ns, (), catches_up=catches_up)  # type: ignore[arg-type]
    _, first_ns, second_ns, *_ = wire.until_ns
    assert first_ns == second_ago_ns + plan.due_ns[0]
    late_ns = second_ns - first_ns - 10_000_000
    assert late_ns == 0 if catches_up else late_ns > 900_000_000


ON_MLX = MODEL.model_copy(update={"format": "safetensors"})


def test_mlx_times_each_output_token_and_one_prompt_token_less() -> None:
    plan = _plan(model=ON_MLX)
    assert plan.due_ns[0] == LOAD_NS + 3_000_000 + 10_000_000
    counters = plan.counters(total_ns=7)
    assert (counters["prompt_eval_count"], counters["prompt_eval_duration"]) == (4, 3_000_000)
    assert (counters["eval_count"], counters["eval_duration"]) == (30, 300_000_000)
    ends = _plan(model=ON_MLX.model_copy(update={"answer_tokens": 30}))
    assert (ends.done_reason, ends.counters(total_ns=7)["eval_duration"]) == ("stop", 310_000_000)


def test_drafts_come_in_rounds_at_the_scripted_speed() -> None:
    plan = _plan(model=ON_MLX.model_copy(update={"tokens_per_round": 3}))
    gaps = [after - before for before, after in pairwise(plan.due_ns)]
    assert gaps == [*([0, 0, 30_000_000] * 9), 0, 0]
    assert plan.counters(total_ns=7)["eval_duration"] == 300_000_000


def test_what_is_cached_is_told_by_a_version_that_does() -> None:
    known = _plan(model=ON_MLX).knowing(9)
    assert (known.cached_tokens, known.prompt_ns) == (3, 0)
    assert "prompt_eval_cached_count" not in known.counters(total_ns=7)
    told = replace(known, tells_cached=True).counters(total_ns=7)
    assert told["prompt_eval_cached_count"] == 3
    versions = {v: _version(v) for v in ("0.32.15", "0.33.3", "0.34.4", "0.40.0", "new")}
    assert versions == {
        "0.32.15": False,
        "0.33.3": True,
        "0.34.4": True,
        "0.40.0": True,
        "new": False,
    }


def _version(version: str) -> bool:
    script = MachineScript(chip="x", memory_gb=1, gpu_memory_mb=1, engine_version=version)
    return script.tells_cached
