"""Fuzzed metadata: no exception but ours, no negative and no infinite number."""

from __future__ import annotations

import math
import random
from typing import Any

from fleet.advisor.fit import judge
from fleet.advisor.machines import CATALOGUE
from fleet.advisor.machines_kind import Box
from fleet.advisor.metadata import from_show
from fleet.advisor.need import need
from fleet.advisor.remedies import largest_context, smaller_that_fits, split
from fleet.advisor.setup import CACHE_BYTES, Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate, prefill_rate
from fleet.advisor.work import muscle_of
from fleet.errors import FleetError
from tests.builders_advisor import info

ARCHITECTURES = """llama qwen3 qwen3moe gemma3 gemma4 gpt-oss gptoss deepseek2 qwen35moe
nemotron_h lfm2 strange cohere2""".split()
PLAUSIBLE: dict[str, Any] = {
    "block_count": 32, "embedding_length": 4096, "head_count": 32, "head_count_kv": 8,
    "key_length": 128, "value_length": 128, "context_length": 131072, "vocab_size": 128256,
    "feed_forward_length": 14336, "expert_count": 64, "expert_used_count": 4,
    "expert_feed_forward_length": 1024, "sliding_window": 1024, "sliding_window_pattern": 6,
    "ssm__inner_size": 4096, "ssm__state_size": 128, "ssm__conv_kernel": 4,
    "ssm__group_count": 16, "full_attention_interval": 4, "kv_lora_rank": 512,
    "key_length_mla": 256, "rope__dimension_count": 64, "nextn_predict_layers": 1,
    "shared_kv_layers": 2, "leading_dense_block_count": 1, "key_length_swa": 128,
    "shortconv__l_cache": 3,
}  # fmt: skip
NEEDED = ("block_count", "embedding_length", "head_count")
STRANGE: list[Any] = [None, -1, 0, 1, 2**31, 2**63, 2**70, -(2**40), 1.5, math.nan, math.inf, True,
                      "x", "", [], [1], [1, 2, 3], [8] * 32, [0] * 32, [8, 0] * 16, [-1] * 32, {},
                      b"x", 1e300, "128"]  # fmt: skip
NAMES = ["token_embd.weight", "output.weight", "blk.{}.attn_q.weight", "blk.{}.attn_k.weight",
         "blk.{}.attn_v.weight", "blk.{}.attn_qkv.weight", "blk.{}.ffn_gate_exps.weight",
         "blk.{}.ssm_conv1d.weight", "v.blk.{}.attn_q.weight", "model.embed_tokens.weight",
         "model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.attn_kv_a_mqa.weight", "draft.x",
         "blk.{}.nextn.eh_proj.weight"]  # fmt: skip
TENSOR_TYPES = ["F32", "F16", "BF16", "Q4_K", "Q6_K", "MXFP4", "nvfp4", "mxfp8", "int4", "ODD", ""]
CASES = 10_000


def fuzzed(chance: random.Random) -> dict[str, object]:
    """One answer of `/api/show`: mostly plausible, here and there strange."""
    keys: dict[str, object] = {}
    for key, value in PLAUSIBLE.items():
        if chance.random() < (0.02 if key in NEEDED else 0.35):
            continue
        keys[key] = value
        if chance.random() < 0.04:
            keys[key] = chance.choice(STRANGE)
        elif chance.random() < 0.3:
            any_size = chance.randrange(1, 10 ** chance.randrange(1, 7))
            keys[key] = chance.choice([value * 2, max(value // 2, 1), value + 1, any_size])
    made = info(chance.choice([*ARCHITECTURES, ""]), **keys)
    if chance.random() < 0.6:
        made["general.parameter_count"] = chance.choice([8_030_261_248, 1, -1, 2**70, "x"])
    answer: dict[str, object] = {"model_info": made}
    if chance.random() < 0.5:
        answer["tensors"] = [fuzzed_tensor(chance) for _ in range(chance.randrange(30))]
    if chance.random() < 0.05:
        answer["tensors"] = chance.choice([None, "x", [1], [{}], {}])
    if chance.random() < 0.2:
        mlx = {"format": "safetensors", "quantization_level": "nvfp4"}
        answer["details"] = chance.choice([mlx, None, "x", {"format": 3}])
    return answer


def fuzzed_tensor(chance: random.Random) -> dict[str, object]:
    odd = chance.random() < 0.02
    sizes = [0, 1, 64, 128256, -1, 2**40] if odd else [64, 128, 1024, 4096]
    shape = [chance.choice(sizes) for _ in range(chance.choice([1, 2, 2, 2, 3, 3, 0, 4]))]
    name = chance.choice(NAMES).format(chance.randrange(40))
    return {"name": name, "type": chance.choice(TENSOR_TYPES), "shape": shape}


def answer_all(shape: ModelShape, chance: random.Random) -> list[float]:
    """Every number that the advisor gives of a shape on some machine in some setup."""
    setup = Setup(
        context=chance.choice([1, 256, 4096, 131072, 2**31]),
        slots=chance.choice([1, 4]),
        cache_type=chance.choice(list(CACHE_BYTES)),
        flash_attention=chance.choice([True, False, None]),
        current=chance.choice([True, False, None]),
        runner=chance.choice(list(Runner)),
    )
    kind = chance.choice(CATALOGUE)
    box = Box(kind=kind, memory_gb=kind.memory_gb[0])
    limit = box.limits()[0]
    demand = need(shape, setup, kind.backend)
    numbers = []
    for part in demand.parts:
        size = part.bytes
        assert size.low <= size.value <= size.high, part
        numbers += [size.low, size.value, size.high]
    assert judge(demand, limit, box.ram_bytes).verdict
    for rate in (
        decode_rate(shape, muscle_of(box), 1000),
        prefill_rate(shape, muscle_of(box), 512),
    ):
        if rate is not None:
            expected = rate.expected
            numbers += [expected.low, expected.value, expected.high, rate.ceiling]
    share = split(shape, setup, limit, kind.backend).gpu_share
    assert 0 <= share <= 1
    if chance.random() < 0.1:  # the two that search
        assert (largest_context(shape, setup, limit, kind.backend) or 256) >= 1
        smaller_that_fits(shape, setup, limit, kind.backend)
    return numbers


def test_fuzzed_metadata_ends_in_an_answer_or_in_our_own_error() -> None:
    chance, answered = random.Random(20261130), 0
    for _ in range(CASES):
        case = fuzzed(chance)
        try:
            shape = from_show("m", case, chance.choice([None, None, 5_000_000_000, 1]))
        except FleetError:
            continue
        answered += 1
        for number in answer_all(shape, chance):
            assert math.isfinite(number), case
            assert number >= 0, case
    assert answered > CASES // 4
