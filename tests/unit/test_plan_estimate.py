"""The prior on machines and models of all sizes: the right order, on the long side."""

from __future__ import annotations

import pytest

from fleet.model.experiment import EmbeddedEngine, OllamaEngine, SimulatedEngine
from fleet.model.job import Job, Point
from fleet.model.machine import Machine
from fleet.model.script import MachineScript, ScriptedModel, ScriptedPower
from fleet.model.trial import show_settings
from fleet.plan.estimate import prior_s
from fleet.plan.expand import PlanOptions, expand
from tests.builders_plan import CHAT, machine, request

OLLAMA = OllamaEngine(kind="ollama")
LONG = Job(name="long", prompt="x", points=(Point(output_tokens=512),))
ULTRA = machine("ultra", chip="Apple M3 Ultra", gpu_limit_mb=73_728)
PLAIN = machine("plain", chip="Apple M4", gpu_limit_mb=20_000)
CARD = machine("card", chip="AMD 7950X", gpu="RTX 4090", gpu_memory_mb=24_000)
CPU = machine("cpu", chip="Xeon")


@pytest.mark.parametrize(
    ("on", "name", "size_bytes", "shortest_s", "longest_s"),
    [
        (CPU, "tiny", 8_000_000, 0.2, 10),
        (ULTRA, "tiny", 8_000_000, 0.2, 10),
        (ULTRA, "gpt-oss:20b", 13_000_000_000, 20, 60),
        (ULTRA, "gpt-oss:120b", 65_000_000_000, 80, 200),
        (ULTRA, "dense:70b", None, 120, 900),
        (CARD, "gpt-oss:120b", 65_000_000_000, 400, 3600),
        (CPU, "gpt-oss:120b", 65_000_000_000, 600, 7200),
    ],
)
def test_the_prior_is_sane(
    on: Machine, name: str, size_bytes: int | None, shortest_s: float, longest_s: float
) -> None:
    assert shortest_s < prior_s(on, OLLAMA, name, LONG, size_bytes) < longest_s


def by_hand(size: float, read_s: float, prompt: int, output: int, rounds: int) -> float:
    """Load at 1 GB/s and 1 s; a token takes 3 ms and what is read at 60 % of the bandwidth; ten
    tokens of a prompt take as long as one of the answer."""
    token_s = 0.003 + read_s / 0.6
    return 1 + size / 1e9 + rounds * (prompt * token_s / 10 + output * token_s)


@pytest.mark.parametrize(
    ("on", "name", "size_bytes", "read_s"),
    [
        (CPU, "m", 6e9, 6e9 / 30e9),
        (PLAIN, "m", 6e9, 6e9 / 100e9),
        (machine("pro", chip="Apple M4 Pro"), "m", 6e9, 6e9 / 200e9),
        (machine("max", chip="Apple M4 Max"), "m", 6e9, 6e9 / 400e9),
        (ULTRA, "m", 6e9, 6e9 / 800e9),
        (CARD, "m", 6e9, 6e9 / 300e9),
        (CARD, "m", 24_000 * 2**20 + 3e9, 24_000 * 2**20 / 300e9 + 3e9 / 30e9),
        (CPU, "m:8b-a2b", 6e9, 6e9 / 30e9 / 4),
        (CPU, "gpt-oss:20b", 6e9, 6e9 / 30e9 / 4),
        (CPU, "m:2b-a8b", 6e9, 6e9 / 30e9),
        (CPU, "m:2b-a2b", 6e9, 6e9 / 30e9),
    ],
)
def test_the_prior_by_hand(on: Machine, name: str, size_bytes: float, read_s: float) -> None:
    job = Job(name="j", prompt="x" * 400, points=(Point(output_tokens=50),), requests=2, warmup=1)
    expected = by_hand(size_bytes, read_s, 100 + 400 // 4, 50, 3)
    assert prior_s(on, OLLAMA, name, job, round(size_bytes)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "size_bytes"),
    [("m:8b", 8e9 * 0.65), ("m:1.5b", 1.5e9 * 0.65), ("m:135m", 135e6 * 0.65), ("m", 5e9)],
)
def test_a_size_is_guessed_from_the_name(name: str, size_bytes: float) -> None:
    job = Job(name="j", prompt="x" * 400, points=(Point(output_tokens=50),), requests=1, warmup=0)
    expected = by_hand(size_bytes, size_bytes / 30e9, 200, 50, 1)
    assert prior_s(CPU, OLLAMA, name, job, None) == pytest.approx(expected)
    embedded = by_hand(8e6, 8e6 / 30e9, 200, 50, 1)
    engine = EmbeddedEngine(kind="embedded")
    assert prior_s(CPU, engine, name, job, None) == pytest.approx(embedded)


@pytest.mark.parametrize("reuse", [True, False])
def test_a_conversation_by_hand(reuse: bool) -> None:
    """Three texts of 101, 102 and 103 tokens, and answers of 50: each once, or anew each time."""
    turns = ("a" * 4, "a" * 8, "a" * 12)
    point = Point(output_tokens=50)
    job = Job(name="j", turns=turns, points=(point,), requests=1, warmup=0, reuse=reuse)
    prompt = 101 + 102 + 103 if reuse else 3 * 101 + 2 * 102 + 103 + 50 * 2 + 50
    expected = by_hand(6e9, 6e9 / 30e9, prompt, 150, 1)
    assert prior_s(CPU, OLLAMA, "m", job, 6_000_000_000) == pytest.approx(expected)


def test_more_bandwidth_and_less_model_take_less_time() -> None:
    seconds = [prior_s(m, OLLAMA, "m:8b", LONG, None) for m in (ULTRA, CARD, PLAIN, CPU)]
    assert seconds == sorted(seconds)
    by_name = [prior_s(CPU, OLLAMA, name, LONG, None) for name in ("m:135m", "m:1.5b", "m:70b")]
    assert by_name == sorted(by_name)
    assert prior_s(CPU, OLLAMA, "m:q4", LONG, None) == prior_s(CPU, OLLAMA, "m", LONG, None)


def test_experts_that_sleep_are_not_read() -> None:
    dense, sparse = (prior_s(CPU, OLLAMA, name, LONG, 10**10) for name in ("m:30b", "m:30b-a3b"))
    assert sparse < dense / 5


def test_embedded_models_are_tiny() -> None:
    assert prior_s(CPU, EmbeddedEngine(kind="embedded"), "gpt-oss", LONG, None) < 10


def test_loading_for_each_request_is_counted() -> None:
    cold = CHAT.model_copy(update={"load": "request"})
    warm_s, cold_s = (prior_s(CPU, OLLAMA, "m", job, 10**10) for job in (CHAT, cold))
    assert cold_s - warm_s == pytest.approx((CHAT.requests + CHAT.warmup - 1) * 11)


FAST = Job(name="j", prompt="x", points=(Point(output_tokens=100),), requests=3)


def seconds_of(**changes: object) -> float:
    point = {k: changes.pop(k) for k in ("concurrency", "seconds") if k in changes}
    if point:
        changes["points"] = (FAST.points[0].model_copy(update=point),)
    return prior_s(CPU, OLLAMA, "m:8b", Job(**{**FAST.model_dump(), **changes}), None)


def test_streams_wait_for_one_another_in_the_estimate() -> None:
    """Warm-up and load come once, requests once for each stream."""
    one, four = seconds_of(), seconds_of(concurrency=4)
    assert four - one == pytest.approx(9 / 4 * (one - _load_s()))


def test_a_soak_takes_its_time_on_every_machine() -> None:
    assert seconds_of(seconds=300) - 300 == pytest.approx(seconds_of(requests=1))


def test_a_conversation_that_reuses_nothing_takes_longer() -> None:
    talk = {"prompt": None, "turns": ("why",) * 4}
    assert seconds_of(**talk, reuse=False) > seconds_of(**talk) > 4 * (seconds_of() - _load_s())


def _load_s() -> float:
    return seconds_of(requests=1, warmup=0) - (seconds_of(requests=2) - seconds_of(requests=1))


def test_a_scripted_machine_tells_its_speeds() -> None:
    script = MachineScript(
        chip="Apple M3 Ultra",
        memory_gb=96,
        gpu_memory_mb=73_728,
        time_scale=0.5,
        models={"m": ScriptedModel(prefill_tokens_per_s=1000, decode_tokens_per_s=10, load_s=3)},
    )
    engine = SimulatedEngine(kind="simulated", machines={"ultra": script})
    job = Job(
        name="j",
        api="generate",
        points=(Point(prompt_tokens=500, output_tokens=20),),
        requests=2,
        warmup=1,
    )
    assert prior_s(ULTRA, engine, "m", job, None) == pytest.approx(0.5 * (4 + 3 * 2.5 + 0.6))
    assert prior_s(ULTRA, engine, "other", job, 10**9) == prior_s(
        ULTRA, OLLAMA, "other", job, 10**9
    )
    assert prior_s(CPU, engine, "m", job, 10**9) == prior_s(
        CPU, EmbeddedEngine(kind="embedded"), "m", job, 10**9
    )


# rests

WARM = machine("warm", chip="Xeon", cpu_temperature_c=80.0)
PAST_S = 50.0


def planned_s(on: Machine, past_s: float | None = None, **fields: object) -> float:
    """Of one trial; what a trial of its cell took before, where that is known."""
    asked = request(repeats=1, **fields)
    [trial] = expand(asked, [on]).trials()
    cell = on.machine_id, trial.model, CHAT.name, show_settings(trial.settings)
    known = {} if past_s is None else {cell: past_s}
    return next(expand(asked, [on], PlanOptions(past_seconds=known)).trials()).estimate_s


def test_a_machine_without_a_thermometer_rests_before_each_trial() -> None:
    plain_s = planned_s(CPU)
    assert planned_s(CPU, cool_down={"rest": "30s"}) == pytest.approx(plain_s + 30)
    assert planned_s(CPU, cool_down={}) == plain_s
    assert planned_s(WARM, cool_down={"rest": "30s"}) == planned_s(WARM)


def test_history_does_not_hold_the_rest() -> None:
    assert planned_s(CPU, PAST_S, cool_down={"rest": "30s"}) == PAST_S + 30


def test_the_rest_for_idle_power_is_counted_where_power_is_surely_read() -> None:
    def script(power: ScriptedPower | None) -> SimulatedEngine:
        one = MachineScript(
            chip="Xeon",
            memory_gb=16,
            gpu_memory_mb=8192,
            power=power,
            models={"tiny": ScriptedModel(prefill_tokens_per_s=100, decode_tokens_per_s=10)},
        )
        return SimulatedEngine(kind="simulated", machines={"cpu": one})

    metered = script(ScriptedPower(idle_w=1, prefill_w=2, decode_w=2))
    plain_s = planned_s(CPU, engine=script(None))
    assert planned_s(CPU, engine=metered) == pytest.approx(plain_s + 2)
    assert planned_s(CPU, engine=metered, telemetry={"idle_s": 7}) == pytest.approx(plain_s + 7)
    assert planned_s(CPU, engine=metered, telemetry="off") == plain_s
    assert planned_s(CPU, PAST_S, engine=metered) == PAST_S, "history holds it already"
