"""Verdicts and what would help: limits, offload, smaller variants, what a machine teaches."""

from __future__ import annotations

from dataclasses import replace

from fleet.advisor import machines, models
from fleet.advisor.amounts import Certainty, exact, modelled
from fleet.advisor.fit import WHOLE_MEMORY, Verdict, judge
from fleet.advisor.grid import grid
from fleet.advisor.learning import Load, learned_offset
from fleet.advisor.limits import as_set, mac_default
from fleet.advisor.need import Need, Part, need
from fleet.advisor.outcome import outcome
from fleet.advisor.recipes import in_quantization
from fleet.advisor.remedies import (
    SMALLER,
    largest_context,
    refused_by_mlx,
    smaller_that_fits,
    split,
    wired_limit,
)
from fleet.advisor.setup import Runner, Setup
from fleet.model.mac_gpu_limit import (
    MACOS_26_MIB,
    TO_MACOS_15_MIB,
    expected_gpu_limit_mb,
)
from fleet.units import GIB, MIB

GPT_OSS_120B, GPT_OSS_20B = models.look_up("gpt-oss:120b"), models.look_up("gpt-oss:20b")
GEMMA4_31B = models.look_up("gemma4:31b")


def mib(size: float) -> int:
    return round(size / MIB)


def test_verdicts_by_what_is_to_spare() -> None:
    def verdict(spare_mib: float, devices: int = 1) -> Verdict:
        demand = Need.of(
            [Part("weights", "gpu", exact(10_000 * MIB))], Setup(context=256, devices=devices)
        )
        return judge(demand, as_set(10_000 + spare_mib)).verdict

    assert [verdict(spare) for spare in (1024, 1023, 512, 511, -1)] == [
        Verdict.FITS,
        Verdict.TIGHT,
        Verdict.TIGHT,
        Verdict.NO,
        Verdict.NO,
    ]
    assert verdict(1024, devices=2) is Verdict.TIGHT
    uncertain = Need.of([Part("weights", "gpu", modelled(100, 50, 900 * MIB))], Setup(context=256))
    assert judge(uncertain, as_set(1000)).verdict is Verdict.MAYBE
    assert judge(uncertain, None).verdict is Verdict.UNKNOWN


def test_a_machine_needs_memory_beside_its_gpu() -> None:
    demand = need(GPT_OSS_120B, Setup(context=131072))
    fit = judge(demand, as_set(90_000), 72 * GIB)
    assert (fit.verdict, fit.decides) == (Verdict.NO, WHOLE_MEMORY)
    limit = wired_limit(need(models.look_up("llama3.3:70b"), Setup(context=131072)), 64)
    assert (limit.allowed, limit.highest_mib) == (False, 57344)


def test_default_limits_of_macs_are_those_that_were_seen() -> None:
    for gigabytes, seen in TO_MACOS_15_MIB.items():
        assert mac_default(gigabytes, 15).bytes.value == seen * MIB
        assert expected_gpu_limit_mb(gigabytes, "15.6") == seen
    for gigabytes, seen in MACOS_26_MIB.items():
        assert mac_default(gigabytes, 26).bytes.value == seen * MIB
        assert expected_gpu_limit_mb(gigabytes, "26.1") == seen
    unseen = mac_default(192, 26).bytes
    assert unseen.certainty is Certainty.MODELLED
    assert unseen.low < unseen.value < unseen.high


def test_mlx_refuses_instead_of_spilling_and_grows_later() -> None:
    shape = models.look_up("qwen3.6:35b-a3b-mxfp8")
    mac = machines.read("M4 Pro 24 GB")
    assert refused_by_mlx(shape, mac.limits()[0])
    setup = Setup(context=8192, runner=Runner.MLX)
    fit = judge(need(shape, setup), mac.limits()[0], mac.ram_bytes)
    assert fit.verdict is Verdict.NO
    assert "refuses" in outcome(fit, setup, "metal").what
    demand = need(models.look_up("qwen3.6:27b-mlx"), setup)
    assert demand.later.value == 8 * GIB
    tight = judge(demand, as_set(demand.gpu.high / MIB + 2000))
    assert (tight.verdict, "prefix cache" in tight.decides) == (Verdict.TIGHT, True)


def test_what_stays_on_the_gpu() -> None:
    small = as_set(40_000)
    mixture = split(GPT_OSS_120B, Setup(context=8192), small, "metal")
    assert mixture.expert_share is not None
    assert 0.5 < mixture.expert_share < 0.7
    assert mixture.layers == 36
    dense = split(models.look_up("llama3.3:70b"), Setup(context=8192), small, "cuda")
    assert dense.expert_share is None
    assert 60 <= dense.layers < 80
    old = split(GPT_OSS_120B, Setup(context=8192, current=False), small, "metal")
    assert old.expert_share is None
    assert old.layers < 36


def test_a_smaller_quantization_that_fits() -> None:
    card, setup = machines.read("RTX 4090").limits()[0], Setup(context=4096)
    shape = models.look_up("qwen3:32b-q8_0")
    variant = smaller_that_fits(shape, setup, card, "cuda")
    assert variant is not None
    assert judge(need(variant, setup, "cuda"), card).runs
    larger = [name for name in SMALLER if SMALLER.index(name) < SMALLER.index(variant.quantization)]
    assert larger
    for name in larger:
        assert not judge(need(in_quantization(shape, name), setup, "cuda"), card).runs
    assert smaller_that_fits(GPT_OSS_120B, setup, card, "cuda") is None


def test_the_largest_context_is_the_last_that_fits() -> None:
    shape = models.look_up("qwen2.5:14b")
    shape = replace(shape, trained_context=1_000_000)
    limit, setup = as_set(24_000), Setup(context=256, batch=512)
    longest = largest_context(shape, setup, limit, "metal")
    assert longest is not None
    assert judge(need(shape, replace(setup, context=longest)), limit).runs
    assert not judge(need(shape, replace(setup, context=longest + 256)), limit).runs
    assert largest_context(shape, setup, as_set(1000), "metal") is None


def test_a_machine_teaches_what_it_adds() -> None:
    loads = [Load(1000 * MIB, 1600 * MIB), Load(2000 * MIB, 2500 * MIB), Load(0, 700 * MIB)]
    offset = learned_offset(loads)
    assert offset is not None
    assert (mib(offset.low), mib(offset.value), mib(offset.high)) == (500, 600, 700)
    assert offset.certainty is Certainty.CALIBRATED
    assert learned_offset([Load(0, 1e15), Load(0, float("nan"))]) is None
    once = learned_offset(loads[:1])
    assert once is not None
    assert once.high > once.value > once.low
    setup = Setup(context=8192)
    plain = need(GPT_OSS_20B, setup, "cuda").gpu.value
    taught = need(GPT_OSS_20B, setup, "cuda", offset).gpu.value
    assert mib(taught - plain) == 600 - 450


def test_the_grid_says_what_single_answers_say() -> None:
    box = machines.read("M4 Max 128 GB")
    cells = list(grid([GPT_OSS_120B, GEMMA4_31B], [box], [8192, 131072], Setup(context=1)))
    assert len(cells) == 4
    for cell in cells:
        alone = need(cell.shape, Setup(context=cell.context))
        assert cell.need.gpu == alone.gpu
        limit = min(box.limits(), key=lambda single: single.bytes.value)
        assert cell.fit == judge(alone, limit, box.ram_bytes)
