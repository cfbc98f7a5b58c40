"""From metadata to shapes: every kind of layer, what is missing, and what is absurd."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from fleet.advisor import models
from fleet.advisor.amounts import Certainty
from fleet.advisor.config_json import model_info
from fleet.advisor.fit import judge
from fleet.advisor.kv import cache_bytes, state_bytes
from fleet.advisor.machines import CATALOGUE
from fleet.advisor.machines_kind import Box
from fleet.advisor.metadata import from_show
from fleet.advisor.need import need
from fleet.advisor.remedies import largest_context, smaller_that_fits, split
from fleet.advisor.setup import CACHE_BYTES, Runner, Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate, prefill_rate
from fleet.advisor.weights import Role, role_of
from fleet.advisor.work import muscle_of
from fleet.engines.ollama.models import BLOCKS as ENGINE_BLOCKS
from fleet.errors import FleetError, UserError
from fleet.model.tensors import BLOCKS, Tensor
from fleet.units import MIB
from tests.builders_advisor import dense, dense_tensors, info, shown


def kinds(shape: ModelShape) -> dict[str, int]:
    return {group.kind: group.count for group in shape.layers}


def test_a_dense_model_whose_head_size_is_not_told() -> None:
    shape = from_show("m", shown(dense()))
    (layers,) = shape.layers
    assert (layers.count, layers.kv_heads, layers.key_size, layers.value_size) == (32, 8, 128, 128)
    assert cache_bytes(shape, Setup(context=8192)) == 1024 * MIB


def test_tensors_give_exact_bytes_and_those_of_the_table() -> None:
    small = info("llama", block_count=2, embedding_length=64, head_count=4, head_count_kv=1)
    shape = from_show("m", shown(small, dense_tensors(2)))
    matrices = 2 * (64 * 64 * 2 + 2 * 64 * 16 * 2 + 64 * 256 // 32 * 34)
    assert shape.weights.text_bytes == 2 * 64 * 1000 * 2 + 64 * 4 + matrices
    assert shape.weights.table_bytes == 64 * 1000 * 2
    assert shape.weights.gpu_bytes == shape.weights.text_bytes - shape.weights.table_bytes
    assert shape.weights.certainty is Certainty.EXACT
    assert shape.vocabulary == 1000


def test_a_tied_table_lies_on_the_gpu_as_well() -> None:
    small = info("llama", block_count=1, embedding_length=64, head_count=4, head_count_kv=1)
    tensors = [one for one in dense_tensors(1) if one[0] != "output.weight"]
    shape = from_show("m", shown(small, tensors))
    assert shape.weights.tied
    assert shape.weights.gpu_bytes == shape.weights.text_bytes


@pytest.mark.parametrize(
    ("architecture", "blocks", "windowed"),
    [("gemma3", 34, 29), ("gptoss", 24, 12), ("gpt-oss", 36, 18), ("gemma2", 26, 13)],
)
def test_windows_that_only_the_architecture_tells(
    architecture: str, blocks: int, windowed: int
) -> None:
    told = dense(architecture, block_count=blocks, sliding_window=512)
    shape = from_show("m", shown(told))
    assert kinds(shape) == {"windowed": windowed, "full": blocks - windowed}
    assert {g.window for g in shape.layers if g.kind == "windowed"} == {512}


def test_a_pattern_for_each_layer_is_believed() -> None:
    pattern = [True, True, False] * 4
    told = dense("gemma4", block_count=12, sliding_window=128, sliding_window_pattern=pattern,
                 key_length=512, value_length=512, key_length_swa=256, value_length_swa=256,
                 head_count_kv=[16 if windowed else 4 for windowed in pattern])  # fmt: skip
    shape = from_show("m", shown(told))
    rows = {group.kind: (group.count, group.row) for group in shape.layers}
    assert rows == {"windowed": (8, 16 * 512), "full": (4, 4 * 1024)}


def test_hybrids_keep_a_state_in_three_of_four_layers() -> None:
    told = dense("qwen35", block_count=64, embedding_length=5120, head_count=24, head_count_kv=4,
                 key_length=256, value_length=256, ssm__inner_size=6144, ssm__state_size=128,
                 ssm__group_count=16, ssm__conv_kernel=4)  # fmt: skip
    shape = from_show("m", shown(told))
    assert kinds(shape) == {"recurrent": 48, "full": 16}
    assert state_bytes(shape, Setup(context=512)) == pytest.approx(149.6 * MIB, rel=1e-3)
    assert state_bytes(shape, Setup(context=512, slots=3)) == 3 * state_bytes(
        shape, Setup(context=512)
    )


def test_layers_without_heads_are_recurrent_or_only_feed() -> None:
    heads = [0, 0, 2, 0]
    told = dense("nemotron_h", block_count=4, head_count_kv=heads, key_length=128,
                 value_length=128, feed_forward_length=[0, 1856, 0, 0],
                 ssm__inner_size=4096, ssm__state_size=128, ssm__group_count=8)  # fmt: skip
    assert kinds(from_show("m", shown(told))) == {"recurrent": 2, "full": 1}


def test_latent_attention_keeps_one_compressed_row() -> None:
    told = dense("deepseek2", block_count=47, head_count=20, head_count_kv=1, kv_lora_rank=512,
                 key_length_mla=256, key_length=576, value_length=512,
                 rope__dimension_count=64)  # fmt: skip
    shape = from_show("m", shown(told))
    assert kinds(shape) == {"latent": 47}
    new, old = Setup(context=32768), Setup(context=32768, current=False)
    assert cache_bytes(shape, new) == 47 * 32768 * 576 * 2
    assert cache_bytes(shape, old) == 47 * 32768 * (576 + 512) * 2


def test_without_absorbed_heads_the_old_conversion_is_plain_attention() -> None:
    told = dense("deepseek2", head_count=16, head_count_kv=16, kv_lora_rank=512, key_length=192,
                 value_length=128)  # fmt: skip
    assert kinds(from_show("m", shown(told))) == {"full": 32}


def test_layers_that_share_the_cache_of_others_have_none() -> None:
    told = dense("gemma3n", block_count=30, sliding_window=512, shared_kv_layers=10)
    assert sum(kinds(from_show("m", shown(told))).values()) == 20


def test_next_token_blocks_are_a_draft_head() -> None:
    small = info("qwen35moe", block_count=3, nextn_predict_layers=1, embedding_length=64,
                 head_count=4, head_count_kv=1, full_attention_interval=1)  # fmt: skip
    shape = from_show("m", shown(small, dense_tensors(3)))
    assert shape.blocks == 2
    assert shape.weights.draft_bytes == 64 * 64 * 2 + 2 * 64 * 16 * 2 + 64 * 256 // 32 * 34


def test_tensors_overrule_what_keys_leave_out() -> None:
    """Arrays are null in a short answer; the key matrices still tell each layer's heads."""
    told = info("gemma4", block_count=2, embedding_length=64, head_count=4, sliding_window=8,
                sliding_window_pattern=None, head_count_kv=None, key_length=32)  # fmt: skip
    tensors = [
        ("token_embd.weight", "F16", (64, 1000)),
        ("blk.0.attn_k.weight", "F16", (64, 16)),
        ("blk.0.attn_v.weight", "F16", (64, 16)),
        ("blk.1.attn_k.weight", "F16", (64, 48)),
    ]
    shape = from_show("m", shown(told, tensors))
    assert sorted(group.row for group in shape.layers) == [32, 96]


def test_safetensors_of_an_engine() -> None:
    told = info("qwen3", block_count=2, embedding_length=64, head_count=4, head_count_kv=2)
    tensors = [
        ("model.embed_tokens.weight", "mxfp8", (1000, 64)),
        ("lm_head.weight", "mxfp8", (1000, 64)),
        ("model.layers.0.self_attn.k_proj.weight", "nvfp4", (32, 64)),
        ("model.layers.0.self_attn.v_proj.weight", "nvfp4", (32, 64)),
        ("model.layers.1.self_attn.k_proj.weight", "nvfp4", (32, 64)),
        ("model.layers.1.self_attn.v_proj.weight", "nvfp4", (32, 64)),
        ("draft.layers.0.mlp.up_proj.weight", "BF16", (64, 64)),
        ("vision_tower.blocks.9.attn.qkv.weight", "BF16", (64, 64)),
    ]
    shape = from_show("m", shown(told, tensors, form="safetensors", quantization="nvfp4"))
    assert shape.format == "safetensors"
    assert shape.weights.text_bytes == 2 * 64000 * 33 // 32 + 4 * 2048 * 9 // 16
    assert shape.weights.draft_bytes == shape.weights.projector_bytes == 8192
    (layers,) = shape.layers
    assert (layers.kv_heads, layers.key_size) == (2, 16)
    wanted = need(shape, Setup(context=4096))
    assert wanted.part("weights").value == shape.weights.text_bytes
    assert wanted.part("draft head").value == 8192


def test_experts_of_safetensors_come_from_their_tensors() -> None:
    told = info("qwen3_moe", block_count=1, embedding_length=64, head_count=4, head_count_kv=2)
    tensors = [
        ("model.embed_tokens.weight", "BF16", (1000, 64)),
        ("model.layers.0.mlp.experts.gate_up_proj", "BF16", (128, 1536, 64)),
    ]
    shape = from_show("m", shown(told, tensors, form="safetensors"))
    assert shape.experts is not None
    assert (shape.experts.count, shape.experts.used) == (128, 8)


def test_an_unknown_number_of_experts_used_gives_no_rate() -> None:
    told = dense("strange", expert_count=64, expert_feed_forward_length=512)
    shape = from_show("m", shown(told))
    assert shape.experts is not None
    assert shape.experts.used is None
    assert decode_rate(shape, muscle_of(CATALOGUE[0])) is None
    assert "how many experts" in " ".join(shape.notes)


def test_an_unknown_architecture_is_answered_wider_and_says_so() -> None:
    known = from_show("m", shown(dense("llama", vocab_size=1000)))
    strange = from_show("m", shown(dense("strange", vocab_size=1000)))
    assert "not known" in strange.notes[0]
    assert strange.certainty is Certainty.MODELLED
    here, there = (need(shape, Setup(context=8192)).gpu for shape in (known, strange))
    assert there.high - there.low > 2 * (here.high - here.low)
    muscle = muscle_of(CATALOGUE[0])
    wide, narrow = decode_rate(strange, muscle), decode_rate(known, muscle)
    assert wide is not None
    assert narrow is not None
    assert wide.expected.high > narrow.expected.high
    assert wide.expected.low < narrow.expected.low


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", -3), ("block_count", 10**9), ("block_count", "32"), ("head_count", 1.5),
        ("embedding_length", 0), ("embedding_length", math.nan), ("context_length", -1),
        ("head_count_kv", [8, 8]), ("expert_count", 2**40), ("key_length", 2**20),
    ],
)  # fmt: skip
def test_absurd_values_are_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(UserError, match=key):
        from_show("m", shown(dense(**{key: value})))


@pytest.mark.parametrize("answer", [{}, {"model_info": None}, {"model_info": {}}])
def test_a_model_without_metadata_is_a_clear_message(answer: dict[str, object]) -> None:
    with pytest.raises(UserError, match="metadata"):
        from_show("m", answer)


def test_an_unknown_type_of_tensor_makes_the_weights_uncertain() -> None:
    small = info("llama", block_count=2, embedding_length=64, head_count=4, head_count_kv=1)
    strange = [*dense_tensors(2), ("blk.0.x.weight", "Q9_X", (64, 64))]
    shape = from_show("m", shown(small, strange))
    assert shape.weights.certainty is Certainty.MODELLED
    assert need(shape, Setup(context=256)).part("weights").high > shape.weights.gpu_bytes


def test_a_config_json_says_the_same_as_show() -> None:
    config: dict[str, object] = {
        "model_type": "qwen3_5_moe",
        "text_config": {
            "model_type": "qwen3_5_moe_text", "num_hidden_layers": 40, "hidden_size": 2048,
            "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
            "num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512,
            "vocab_size": 248320, "linear_num_value_heads": 32, "linear_num_key_heads": 16,
            "linear_key_head_dim": 128, "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4, "max_position_embeddings": 262144,
        },
    }  # fmt: skip
    shape = from_show("m", shown({**model_info(config), "general.parameter_count": 10**9}))
    assert kinds(shape) == {"recurrent": 30, "full": 10}
    assert state_bytes(shape, Setup(context=256)) == pytest.approx(62.8 * MIB, rel=1e-3)


def test_block_sizes_are_those_of_the_engine_room() -> None:
    assert {name: BLOCKS.get(name) for name in ENGINE_BLOCKS} == ENGINE_BLOCKS


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("blk.3.ffn_gate_up_exps.weight", Role.EXPERT),
        ("blk.3.ffn_gate_inp.weight", Role.DENSE),
        ("blk.3.ffn_up_shexp.weight", Role.DENSE),
        ("model.layers.3.mlp.shared_experts.up_proj.weight", Role.DENSE),
        ("model.layers.3.mlp.experts.7.up_proj.weight", Role.EXPERT),
        ("v.blk.40.attn_q.weight", Role.PROJECTOR),
        ("mm.input_projection.weight", Role.PROJECTOR),
        ("blk.12.nextn.eh_proj.weight", Role.DRAFT),
        ("blk.9.attn_q.weight", Role.DRAFT),
        ("per_layer_token_embd.weight", Role.LAYER_TABLE),
    ],
)
def test_what_a_tensor_is_for(name: str, role: Role) -> None:
    assert role_of(name, blocks=9) is role


def test_a_forged_tensor_has_no_size() -> None:
    assert Tensor("x", "F16", (2**40, 2**40)).bytes is None
    assert Tensor("x", "F16", (0, 4)).bytes is None
    assert Tensor("x", "Q4_K", (256, 3)).bytes == 3 * 144


def test_every_model_of_the_catalogue_is_whole() -> None:
    assert len(models.CATALOGUE) >= 60
    for entry in models.CATALOGUE:
        assert entry.source, entry.name
        for file in entry.files:
            shape = entry.shape(file.tag)
            assert 0 < shape.weights.expert_bytes + 1 <= shape.weights.text_bytes, entry.name
            assert shape.active_bytes, entry.name
            assert cache_bytes(shape, Setup(context=256)) > 0, entry.name


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("gpt-oss:120b", "MXFP4"), ("library/qwen3:14b", "Q4_K_M"), ("qwen3:14b-q8_0", "Q8_0"),
        ("qwen3-14b", "Q4_K_M"), ("qwen3.6:27b-mlx", "nvfp4"), ("Llama3.2:3B", "Q4_K_M"),
        ("gemma3:27b-it-q4_0", "Q4_0"), ("qwen3.6:27b-bf16", "bfloat16"),
    ],
)  # fmt: skip
def test_names_of_models(name: str, quantization: str) -> None:
    assert models.look_up(name).quantization == quantization


def test_a_wrong_name_has_the_nearest_one() -> None:
    with pytest.raises(FleetError, match="gpt-oss:120b"):
        models.look_up("gpt-os:120b")


# Fuzzed metadata: no exception but ours, no negative and no infinite number.

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
    wanted = need(shape, setup, kind.backend)
    numbers = []
    for part in wanted.parts:
        size = part.bytes
        assert size.low <= size.value <= size.high, part
        numbers += [size.low, size.value, size.high]
    assert judge(wanted, limit, box.ram_bytes).verdict
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
