"""Need: the worked examples, the traps, and the laws that hold for all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.advisor import machines, models
from fleet.advisor.amounts import Amount, Certainty, exact, modelled
from fleet.advisor.compute import compute_bytes, host_compute_bytes
from fleet.advisor.fit import Verdict, judge, smallest_limit_mib
from fleet.advisor.kv import cache_bytes
from fleet.advisor.limits import as_set
from fleet.advisor.need import need
from fleet.advisor.remedies import largest_context
from fleet.advisor.setup import CACHE_BYTES, Runner, Setup, of_version
from fleet.advisor.shape import ModelShape
from fleet.errors import UserError
from fleet.units import GIB, MIB

GPT_OSS_120B, GPT_OSS_20B = models.look_up("gpt-oss:120b"), models.look_up("gpt-oss:20b")
GEMMA4_31B = models.look_up("gemma4:31b")


def mib(size: float) -> int:
    return round(size / MIB)


@pytest.mark.parametrize(
    ("shape", "context", "batch", "weights", "cache", "buffer", "smallest"),
    [
        (GPT_OSS_120B, 8192, 512, 61223, 315, 95, 62657),
        (GPT_OSS_120B, 8192, 2048, 61223, 369, 388, 63004),
        (GPT_OSS_120B, 32768, 512, 61223, 1179, 119, 63545),
        (GPT_OSS_120B, 131072, 2048, 61223, 4689, 868, 67804),
        (GPT_OSS_20B, 8192, 512, 12036, 210, 95, 13365),
        (GPT_OSS_20B, 131072, 2048, 12036, 3126, 868, 17054),
    ],
)
def test_the_worked_examples_of_gpt_oss(
    shape: ModelShape,
    context: int,
    batch: int,
    weights: int,
    cache: int,
    buffer: int,
    smallest: int,
) -> None:
    demand = need(shape, Setup(context=context, batch=batch))
    assert mib(demand.part("weights").value) == pytest.approx(weights, abs=1)
    assert mib(demand.part("KV cache").value) == cache
    assert mib(demand.part("compute buffer").value) == pytest.approx(buffer, abs=1)
    assert smallest_limit_mib(demand) == pytest.approx(smallest, abs=3)


def test_gpt_oss_120b_fits_a_96_gb_mac_at_every_context_with_flash_attention() -> None:
    box = machines.read("M3 Ultra 96 GB")
    for limit in box.limits():
        for context in (8192, 32768, 131072):
            fit = judge(need(GPT_OSS_120B, Setup(context=context)), limit, box.ram_bytes)
            assert fit.verdict is Verdict.FITS
        assert largest_context(GPT_OSS_120B, Setup(context=256), limit, "metal") == 131072
    spare = judge(need(GPT_OSS_120B, Setup(context=131072)), box.limits()[0]).spare
    assert spare is not None
    assert spare.value / GIB == pytest.approx(6.8, abs=0.1)


def test_without_flash_attention_the_scores_take_gibibytes() -> None:
    sizes = [
        compute_bytes(GPT_OSS_120B, Setup(context=n, batch=512, flash_attention=False)).value / GIB
        for n in (8192, 32768, 131072)
    ]
    assert sizes == pytest.approx([1.05, 4.1, 16.3], abs=0.05)
    demand = need(GPT_OSS_120B, Setup(context=131072, batch=512, flash_attention=False))
    assert mib(demand.gpu.value) == pytest.approx(82530, rel=0.002)
    assert judge(demand, as_set(81920)).verdict is Verdict.NO


def test_the_full_context_of_gemma_4_is_no_cache_of_hundreds_of_gibibytes() -> None:
    ring = Setup(context=262144, runner=Runner.MLX)
    assert cache_bytes(GEMMA4_31B, ring) / GIB == pytest.approx(20.78, abs=0.01)
    server = Setup(context=262144, batch=512)
    assert cache_bytes(GEMMA4_31B, server) / GIB == pytest.approx(20.78, rel=0.03)


def test_ollamas_own_engine_keeps_more_than_the_window_of_gpt_oss() -> None:
    own = Setup(context=8192, runner=Runner.OLLAMA_ENGINE, current=False, logits="slots")
    assert mib(cache_bytes(GPT_OSS_120B, own)) == 450


def test_slots_that_share_one_cache() -> None:
    shared = Setup(context=32768, slots=4, unified=True, batch=512)
    assert mib(cache_bytes(GPT_OSS_20B, shared)) == 3072 + 24
    apart = Setup(context=32768, slots=4, batch=512)
    assert mib(cache_bytes(GPT_OSS_20B, apart)) == 3072 + 4 * 18


def test_a_context_above_the_trained_one_is_capped() -> None:
    shape = models.look_up("qwen3:14b")
    assert need(shape, Setup(context=65536)).setup.context == 40960


def test_quantised_caches_are_smaller_by_their_blocks() -> None:
    sizes = {
        kind: cache_bytes(GPT_OSS_120B, Setup(context=8192, cache_type=kind))
        for kind in ("f16", "q8_0", "q4_0")
    }
    assert sizes["q8_0"] / sizes["f16"] == pytest.approx(34 / 64)
    assert sizes["q4_0"] / sizes["f16"] == pytest.approx(18 / 64)


@pytest.mark.parametrize(
    ("name", "context", "batch", "buffer"),
    [("llama3.1:8b", 2048, 512, 110), ("qwen3:32b", 131072, 2048, 1256),
     ("gemma3:4b", 65536, 1024, 280), ("qwen2.5:7b", 8192, 512, 140)],
)  # fmt: skip
def test_buffers_of_a_current_engine(name: str, context: int, batch: int, buffer: int) -> None:
    shape = replace(models.look_up(name), trained_context=None)
    setup = Setup(context=context, batch=batch)
    assert mib(compute_bytes(shape, setup).value) == pytest.approx(buffer, abs=1)


def test_the_engines_choice_of_batch() -> None:
    sizes = [Setup(context=context).micro_batch() for context in (4096, 8192, 32768, 65536)]
    assert sizes == [512, 1024, 1024, 2048]
    assert Setup(context=4096, slots=4).micro_batch() == 1024
    assert of_version(Setup(context=65536), "ollama", "0.12.6").micro_batch() == 512


@pytest.mark.parametrize(
    ("kind", "version", "runner", "current"),
    [
        ("ollama", "0.32.15", Runner.LLAMA_SERVER, True),
        ("ollama", "0.30.1", Runner.LLAMA_SERVER, True),
        ("ollama", "v0.12.6", Runner.OLLAMA_ENGINE, False),
        ("ollama", "0.0.0", Runner.LLAMA_SERVER, None),
        ("ollama", "", Runner.LLAMA_SERVER, None),
        ("llama.cpp", "b10488", Runner.LLAMA_SERVER, True),
        ("llama.cpp", "b2796", Runner.LLAMA_SERVER, False),
        ("llama.cpp", "", Runner.LLAMA_SERVER, None),
    ],
)
def test_versions_of_engines(kind: str, version: str, runner: Runner, current: bool | None) -> None:
    setup = of_version(Setup(context=8192), kind, version)
    assert (setup.runner, setup.current) == (runner, current)


def test_what_is_not_known_is_counted_both_ways() -> None:
    unknown = Setup(context=131072, batch=512, flash_attention=None, current=None)
    ends = [
        compute_bytes(GPT_OSS_120B, replace(unknown, flash_attention=flash, current=current))
        for flash in (True, False)
        for current in (True, False)
    ]
    both = compute_bytes(GPT_OSS_120B, unknown)
    assert both.low <= min(single.value for single in ends)
    assert both.high >= max(single.value for single in ends)
    box = machines.read("M3 Ultra 96 GB")
    fit = judge(need(GPT_OSS_120B, unknown), box.limits()[0], box.ram_bytes)
    assert fit.verdict is Verdict.MAYBE
    assert "flash attention" in fit.decides


def test_several_cards_hold_copies_of_the_inputs() -> None:
    """8B at 8192 without flash attention: 640 MiB on every card, where one alone has 560."""
    shape = models.look_up("llama3:8b")
    old = Setup(context=8192, batch=512, flash_attention=False, current=False)
    single = need(shape, old, "cuda").part("compute buffer").value
    six = need(shape, replace(old, devices=6), "cuda").part("compute buffer").value
    assert mib(single) == pytest.approx(562, abs=4)
    assert mib(six / 6) == pytest.approx(640, abs=5)


def test_mlx_cache_follows_the_tokens_used_not_the_context() -> None:
    shape = models.look_up("qwen3.6:27b-mlx")
    used = Setup(context=262144, runner=Runner.MLX, tokens_used=1000)
    assert cache_bytes(shape, used) == 16 * 1024 * 2048 * 2


@pytest.mark.parametrize(
    "wrong", [{"context": 0}, {"context": 2**40}, {"context": 1, "slots": 0},
              {"context": 1, "cache_type": "q9"}, {"context": 1, "batch": 0},
              {"context": 1, "devices": 0}],
)  # fmt: skip
def test_setups_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError):
        Setup(**wrong)  # type: ignore[arg-type]


def test_sums_are_known_as_badly_as_their_worst_part() -> None:
    sure, guessed = exact(10), modelled(10, 8, 14)
    assert sure.plus(guessed) == Amount(20, 18, 24, Certainty.MODELLED)
    assert guessed.times(2) == Amount(20, 16, 28, Certainty.MODELLED)


shapes = st.sampled_from([entry.shape() for entry in models.CATALOGUE])
contexts = st.integers(min_value=1, max_value=2**20)
setups = st.builds(
    Setup,
    context=contexts,
    slots=st.integers(min_value=1, max_value=8),
    cache_type=st.sampled_from(sorted(CACHE_BYTES)),
    flash_attention=st.sampled_from([True, False, None]),
    current=st.sampled_from([True, False, None]),
    batch=st.sampled_from([512, 2048]),
)


@given(shapes, setups, contexts)
def test_need_grows_with_the_context(shape: ModelShape, setup: Setup, more: int) -> None:
    wider = replace(setup, context=setup.context + more)
    small, large = need(shape, setup), need(shape, wider)
    assert small.gpu.value <= large.gpu.value
    assert small.gpu.high <= large.gpu.high
    assert small.gpu.low <= large.gpu.low
    assert host_compute_bytes(shape, setup) <= host_compute_bytes(shape, wider)


@given(shapes, setups, st.integers(min_value=1, max_value=8))
def test_need_grows_with_the_slots(shape: ModelShape, setup: Setup, more: int) -> None:
    wider = replace(setup, slots=setup.slots + more)
    assert need(shape, setup).gpu.value < need(shape, wider).gpu.value


@given(shapes, setups)
def test_need_grows_with_the_type_of_the_cache(shape: ModelShape, setup: Setup) -> None:
    by_size = sorted(CACHE_BYTES, key=CACHE_BYTES.__getitem__)
    sizes = [need(shape, replace(setup, cache_type=kind)).gpu.value for kind in by_size]
    assert sizes == sorted(sizes)


@given(shapes, setups)
def test_need_is_the_sum_of_its_parts(shape: ModelShape, setup: Setup) -> None:
    demand = need(shape, setup, "cuda")
    for place, total in (("gpu", demand.gpu), ("host", demand.host)):
        parts = [p.bytes for p in demand.parts if p.place == place and not p.later]
        assert total.value == pytest.approx(sum(p.value for p in parts))
        assert total.low == pytest.approx(sum(p.low for p in parts))
        assert total.high == pytest.approx(sum(p.high for p in parts))
