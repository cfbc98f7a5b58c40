"""Speed: the traps, the ceiling, the order of trust, offload, and what is told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.advisor import machines, models
from fleet.advisor.amounts import Certainty, modelled
from fleet.advisor.decode import decode_seconds, decode_terms
from fleet.advisor.evidence import Anchor, Evidence, Origin, believe
from fleet.advisor.machines_kind import SpeedClass
from fleet.advisor.offload import partly_on_cpu
from fleet.advisor.prefill import pipelined, prefill_seconds
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate, prefill_rate
from fleet.advisor.work import (
    DecodeWork,
    EngineAge,
    Muscle,
    PrefillWork,
    age_of,
    decode_work,
    muscle_of,
    touched_bytes,
)

M3_ULTRA = machines.read("M3 Ultra 96 GB")
GPT_OSS_120B = models.look_up("gpt-oss:120b")


def rate(model: str, machine: str, depth: int = 0) -> float:
    forecast = decode_rate(models.look_up(model), muscle_of(machines.read(machine)), depth)
    assert forecast is not None
    return forecast.expected.value


def test_gpt_oss_on_the_96_gb_mac() -> None:
    forecast = decode_rate(GPT_OSS_120B, muscle_of(M3_ULTRA))
    assert forecast is not None
    assert forecast.expected.value == pytest.approx(69, rel=0.05)
    assert forecast.expected.low < 69 < forecast.expected.high
    assert forecast.expected.certainty is Certainty.MODELLED
    assert rate("gpt-oss:20b", "M3 Ultra 96 GB") == pytest.approx(98, rel=0.08)
    assert rate("gpt-oss:20b", "M3 Ultra 80-core 96 GB") == pytest.approx(115, rel=0.1)


def test_a_mixture_reads_its_active_bytes_only() -> None:
    """At 256 GB/s formulas that read all bytes say 15.8 tokens/s; 50.2 were measured."""
    forecast = decode_rate(
        models.look_up("gpt-oss:120b-ggml"), muscle_of(machines.read("Strix Halo Vulkan 128 GB"))
    )
    assert forecast is not None
    assert forecast.expected.value == pytest.approx(50.2, rel=0.15)
    assert forecast.expected.low <= 50.2 <= forecast.expected.high


def test_no_rate_is_above_what_the_memory_allows() -> None:
    for entry in models.CATALOGUE:
        for name in ("M1 8 GB", "RTX 4090", "GB10", "Strix Halo 128 GB", "H200"):
            forecast = decode_rate(entry.shape(), muscle_of(machines.read(name)))
            assert forecast is not None
            assert forecast.expected.value <= forecast.ceiling, (entry.name, name)
            assert forecast.expected.high <= forecast.ceiling


@given(
    st.sampled_from([entry.shape() for entry in models.CATALOGUE]),
    st.sampled_from(machines.CATALOGUE),
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=1, max_value=10**6),
)
def test_rates_fall_with_the_depth(
    shape: ModelShape, kind: machines.MachineKind, depth: int, more: int
) -> None:
    shallow, deep = (decode_rate(shape, muscle_of(kind), n) for n in (depth, depth + more))
    assert shallow is not None
    assert deep is not None
    assert shallow.expected.value >= deep.expected.value > 0
    assert shallow.ceiling >= deep.ceiling
    prompt = prefill_rate(shape, muscle_of(kind), 512, depth % 200_000)
    assert prompt is not None
    assert prompt.expected.low <= prompt.expected.value <= prompt.expected.high


def test_the_time_of_a_token_is_the_sum_of_its_terms() -> None:
    from fleet.advisor.constants_decode import DECODE

    work = DecodeWork(weight_bytes=4e9, cache_bytes=1e9, parameters=8e9, layers=32,
                      experts_used=8, latent=True, k_quants=True, bf16=True)  # fmt: skip
    for kind in SpeedClass:
        for age in EngineAge:
            muscle = Muscle(speed_class=kind, bandwidth=4e11, flops=1e13, age=age)
            constants = DECODE[kind]
            summed = sum(
                getattr(constants, name) * seconds
                for name, seconds in decode_terms(work, muscle).items()
            )
            assert decode_seconds(work, muscle) == pytest.approx(summed)


@pytest.mark.parametrize(
    ("kind", "version", "age"),
    [
        ("llama.cpp", "b2796", EngineAge.OLD), ("llama.cpp", "2023-11", EngineAge.OLD),
        ("llama.cpp", "b5000", EngineAge.MIDDLE), ("llama.cpp", "", EngineAge.MIDDLE),
        ("llama.cpp", "b7948", EngineAge.CURRENT), ("ollama", "", EngineAge.CURRENT),
        ("ollama", "0.11.4", EngineAge.MIDDLE), ("ollama", "0.32.15", EngineAge.CURRENT),
        ("ollama", "2026-09", EngineAge.CURRENT), ("ollama", "0.0.0", EngineAge.CURRENT),
    ],
)  # fmt: skip
def test_the_age_of_an_engine(kind: str, version: str, age: EngineAge) -> None:
    assert age_of(kind, version) is age


def test_an_older_engine_is_not_faster() -> None:
    work = decode_work(models.look_up("llama3.1:8b"), 512)
    assert work is not None
    times = [decode_seconds(work, muscle_of(M3_ULTRA, age)) for age in EngineAge]
    assert times == sorted(times, reverse=True)


def test_cards_read_prompts_side_by_side() -> None:
    assert pipelined(4, 1) == 4
    assert pipelined(5, 4) == 2
    work = PrefillWork(tokens=2048, batch=512, parameters=8e9, attention_flops=0.0,
                       touched_bytes=5e9, cache_bytes=0.0, layers=32)  # fmt: skip
    single = Muscle(speed_class=SpeedClass.CUDA, bandwidth=9e11, flops=1.4e14)
    assert prefill_seconds(work, replace(single, devices=4)) < prefill_seconds(work, single)


def test_a_batch_touches_more_experts_than_a_token() -> None:
    weights = GPT_OSS_120B.weights
    assert touched_bytes(GPT_OSS_120B, 1) == pytest.approx(GPT_OSS_120B.active_bytes)
    assert touched_bytes(GPT_OSS_120B, 512) == pytest.approx(weights.gpu_bytes, rel=1e-3)


def test_partly_on_the_cpu() -> None:
    """Measured: ministral-3 14b at 76 % ran at 22 of 85 tokens/s."""
    work = decode_work(models.look_up("ministral-3:14b"), 128)
    assert work is not None
    muscle = muscle_of(machines.read("RTX 5070 Ti"))
    forecast = partly_on_cpu(work, muscle, 0.76)
    assert forecast.low <= 22 <= forecast.high
    whole = partly_on_cpu(work, muscle, 1.0).value
    assert whole == pytest.approx(1 / decode_seconds(work, muscle))
    mixture = decode_work(GPT_OSS_120B, 128)
    assert mixture is not None
    upper = partly_on_cpu(mixture, muscle, 0.5)
    assert upper.high == upper.value


MODELLED = modelled(100, 80, 120)
DENSE, MIXTURE = (Anchor(measured=m, expected=50, mixture=mixture)
                  for m, mixture in ((40, False), (55, True)))  # fmt: skip


def test_the_order_of_trust() -> None:
    every = Evidence(here=[90, 92], elsewhere=[70], anchors=[DENSE, MIXTURE])
    assert believe(MODELLED, every, mixture=True).origin is Origin.MEASURED_HERE
    assert believe(MODELLED, every, mixture=True).rate.value == 91
    no_own = replace(every, here=())
    assert believe(MODELLED, no_own, mixture=True).origin is Origin.MEASURED_ELSEWHERE
    anchored = believe(MODELLED, replace(no_own, elsewhere=()), mixture=False)
    assert anchored.origin is Origin.CALIBRATED
    assert anchored.rate.value == pytest.approx(80)
    assert anchored.rate.certainty is Certainty.CALIBRATED
    assert believe(MODELLED, Evidence(), mixture=False).rate == MODELLED


def test_one_anchor_calibrates_nothing() -> None:
    """An anchor of the other class makes it worse than none."""
    for mixture in (True, False):
        forecast = believe(MODELLED, Evidence(anchors=[DENSE]), mixture=mixture)
        assert forecast.origin is Origin.MODELLED


def test_impossible_measurements_are_no_evidence() -> None:
    odd = Evidence(here=[0.0, -1.0, float("nan"), float("inf")])
    assert believe(MODELLED, odd, mixture=True).origin is Origin.MODELLED


def test_drafts_are_told_apart() -> None:
    shape = models.look_up("qwen3.6:27b-mlx")
    with_head = replace(shape, weights=replace(shape.weights, draft_bytes=800_000_000))
    plain, drafted = (decode_rate(s, muscle_of(M3_ULTRA)) for s in (shape, with_head))
    assert plain is not None
    assert drafted is not None
    assert plain.with_drafts is None
    assert drafted.expected == plain.expected
    assert drafted.with_drafts is not None
    assert drafted.with_drafts.high > plain.expected.high
