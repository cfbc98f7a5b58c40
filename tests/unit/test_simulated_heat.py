"""Scripted machines that throttle, and noise that no restart repeats."""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.clock import SystemClock
from fleet.engines.simulated.engine import Simulated
from fleet.engines.simulated.heat import Heat
from fleet.engines.simulated.machine import drawn_factor
from fleet.engines.simulated.question import question_of
from fleet.engines.simulated.schedule import STEADY, Pace, Speeds, schedule
from fleet.model.measure import Ask, Reply
from fleet.model.script import MachineScript, ScriptedModel, Throttle

S = 10**9
MODEL = ScriptedModel(prefill_tokens_per_s=1000, decode_tokens_per_s=100)


def test_a_pace_is_full_speed_first() -> None:
    pace = Pace(full_ns=10.0, to=0.5)
    assert [pace.taken(work) for work in (0, 10, 11, 20)] == [0, 10, 12, 30]
    assert Pace(full_ns=0.0, to=0.5).taken(3) == 6
    assert STEADY.taken(1e15) == 1e15


@given(st.floats(0, 1e12), st.floats(0.01, 0.99), st.lists(st.floats(0, 1e12), min_size=2))
def test_time_never_runs_back(full_ns: float, to: float, works: list[float]) -> None:
    pace = Pace(full_ns=full_ns, to=to)
    taken = [pace.taken(work) for work in sorted(works)]
    assert taken == sorted(taken)
    assert all(time >= work for time, work in zip(taken, sorted(works), strict=True))


def test_an_answer_slows_down_in_its_middle() -> None:
    asked = question_of(
        {"model": "m", "prompt": "a", "raw": True, "options": {"num_predict": 101}}, "generate"
    )
    speeds = Speeds.of(MODEL, factor=1.0, time_scale=1.0)
    plan = schedule(asked, MODEL, speeds, 0, (), Pace(full_ns=0.502 * S, to=0.5))
    gaps = [after - before for before, after in zip(plan.due_ns, plan.due_ns[1:], strict=False)]
    assert gaps[:49] == [10_000_000] * 49
    assert gaps[51:] == [20_000_000] * 49
    assert plan.counters(0)["eval_duration"] == plan.due_ns[-1] - plan.due_ns[0]


def test_a_machine_slows_down_after_its_time_and_cools_as_long() -> None:
    heat = Heat(Throttle(after_s=20, to=0.6), time_scale=1.0)
    assert heat.begin(S) == Pace(full_ns=20 * S, to=0.6)
    heat.end(16 * S)
    assert heat.thermal_class(21 * S) == "nominal"
    assert heat.begin(21 * S).full_ns == 10 * S, "15 s of work, 5 s of rest"
    assert heat.thermal_class(32 * S) == "heavy"
    heat.end(40 * S)
    assert heat.begin(50 * S).full_ns == 0, "slow until all heat is gone"
    heat.end(50 * S)
    assert heat.thermal_class(59 * S) == "heavy"
    assert heat.thermal_class(61 * S) == "nominal"
    assert heat.begin(61 * S).full_ns == 20 * S


def test_the_time_scale_holds_for_heat_too() -> None:
    assert Heat(Throttle(after_s=20, to=0.6), time_scale=0.1).begin(S).full_ns == 2 * S


def test_a_machine_without_throttle_tells_no_heat() -> None:
    heat = Heat(None, time_scale=1.0)
    assert heat.begin(S) == STEADY
    assert heat.thermal_class(100 * S) is None


def test_two_answers_at_once_heat_as_one() -> None:
    heat = Heat(Throttle(after_s=10, to=0.5), time_scale=1.0)
    heat.begin(S)
    heat.begin(2 * S)
    heat.end(3 * S)
    heat.end(5 * S)
    assert heat.state(5 * S)["heat_ns"] == 4 * S


def test_a_server_that_was_restarted_is_as_warm_as_before() -> None:
    heat = Heat(Throttle(after_s=10, to=0.5), time_scale=1.0)
    heat.begin(S)
    heat.end(12 * S)
    after = Heat(Throttle(after_s=10, to=0.5), time_scale=1.0)
    after.restore(heat.state(14 * S), 100 * S)
    assert after.thermal_class(107 * S) == "heavy"
    assert after.thermal_class(108 * S) == "nominal"


def test_noise_differs_between_attempts_machines_and_loads() -> None:
    keys = [(seed, f"trial-{n}-0", load) for seed in (1, 2) for n in range(500) for load in (0, 1)]
    logs = [math.log(drawn_factor(2.0, *key)) for key in keys]
    assert len(set(logs)) == len(keys)
    assert statistics.mean(logs) == pytest.approx(0, abs=0.0015)
    assert statistics.stdev(logs) == pytest.approx(0.02, rel=0.06)
    pairs = list(zip(logs[::2], logs[1::2], strict=True))
    assert abs(statistics.correlation(*zip(*pairs, strict=True))) < 0.1
    one, two = logs[: len(logs) // 2], logs[len(logs) // 2 :]
    assert abs(statistics.correlation(one, two)) < 0.1, "two machines, the same attempts"
    assert drawn_factor(2.0, *keys[7]) == drawn_factor(2.0, *keys[7])


SCRIPT = MachineScript(
    chip="Test",
    memory_gb=16,
    gpu_memory_mb=8192,
    noise_percent=5,
    throttle=Throttle(after_s=0.4, to=0.5),
    models={
        "tiny": ScriptedModel(prefill_tokens_per_s=10_000, decode_tokens_per_s=400, load_s=0),
        "later": ScriptedModel(
            prefill_tokens_per_s=10_000, decode_tokens_per_s=400, load_s=0, present=False
        ),
    },
)


@pytest.fixture
def engine() -> Iterator[Simulated]:
    engine = Simulated(SCRIPT, seed=3, clock=SystemClock())
    yield engine
    engine.close()


def asked(engine: Simulated, tokens: int, model: str = "tiny") -> Reply:
    options = {"num_ctx": 1024, "num_predict": tokens, "seed": 1}
    ask = Ask(model=model, api="generate", prompt="a b c", options=options)
    return engine.ask(ask, threading.Event())


def rate(reply: Reply) -> float:
    assert reply.output_tokens is not None
    assert reply.output_ns is not None
    return (reply.output_tokens - 1) * 1e9 / reply.output_ns


def test_each_attempt_draws_its_own_noise_whichever_server_it_meets(engine: Simulated) -> None:
    for attempt in ("trial-1-0", "trial-2-0", "trial-1-0"):
        engine.begin(attempt)
        engine.load("tiny", {"num_ctx": 1024})
        factor = drawn_factor(5, 3, attempt, 0)
        assert rate(asked(engine, 8)) == pytest.approx(400 * factor, rel=1e-6)
        engine.unload("tiny")
    engine.restart()
    engine.begin("trial-2-0")
    engine.load("tiny", {"num_ctx": 1024})
    assert rate(asked(engine, 8)) == pytest.approx(400 * drawn_factor(5, 3, "trial-2-0", 0))


def test_throttling_is_seen_in_the_stamps(engine: Simulated) -> None:
    assert engine.thermal_class() == "nominal"
    reply = asked(engine, 400)
    third = len(reply.chunk_gaps_us) // 3
    early, late = sum(reply.chunk_gaps_us[:third]), sum(reply.chunk_gaps_us[-third:])
    assert late > 1.5 * early
    assert engine.thermal_class() == "heavy"


def test_a_restart_is_a_new_process_on_the_same_machine(engine: Simulated) -> None:
    engine.pull("later", lambda text: None, threading.Event())
    before = engine.base_url, [model.name for model in engine.models()]
    engine.restart()
    assert engine.base_url != before[0]
    assert [model.name for model in engine.models()] == before[1], "what was pulled is there"
