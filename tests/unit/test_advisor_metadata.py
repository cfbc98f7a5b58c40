"""From metadata to shapes: every kind of layer, what is missing, and what is absurd."""

from __future__ import annotations

import math

import pytest

from fleet.advisor.amounts import Certainty
from fleet.advisor.config_json import model_info
from fleet.advisor.kv import cache_bytes, state_bytes
from fleet.advisor.machines import CATALOGUE
from fleet.advisor.metadata import from_show
from fleet.advisor.need import need
from fleet.advisor.setup import Setup
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate
from fleet.advisor.weights import Role, role_of
from fleet.advisor.work import muscle_of
from fleet.errors import UserError
from fleet.model.tensors import Tensor
from fleet.units import MIB
from tests.builders_advisor import dense, dense_tensors, info, show_answer


def kinds(shape: ModelShape) -> dict[str, int]:
    return {group.kind: group.count for group in shape.layers}


def test_a_dense_model_whose_head_size_is_not_told() -> None:
    shape = from_show("m", show_answer(dense()))
    (layers,) = shape.layers
    assert (layers.count, layers.kv_heads, layers.key_size, layers.value_size) == (32, 8, 128, 128)
    assert cache_bytes(shape, Setup(context=8192)) == 1024 * MIB


def test_tensors_give_exact_bytes_and_those_of_the_table() -> None:
    small = info("llama", block_count=2, embedding_length=64, head_count=4, head_count_kv=1)
    shape = from_show("m", show_answer(small, dense_tensors(2)))
    matrices = 2 * (64 * 64 * 2 + 2 * 64 * 16 * 2 + 64 * 256 // 32 * 34)
    assert shape.weights.text_bytes == 2 * 64 * 1000 * 2 + 64 * 4 + matrices
    assert shape.weights.table_bytes == 64 * 1000 * 2
    assert shape.weights.gpu_bytes == shape.weights.text_bytes - shape.weights.table_bytes
    assert shape.weights.certainty is Certainty.EXACT
    assert shape.vocabulary == 1000


def test_a_tied_table_lies_on_the_gpu_as_well() -> None:
    small = info("llama", block_count=1, embedding_length=64, head_count=4, head_count_kv=1)
    tensors = [tensor for tensor in dense_tensors(1) if tensor[0] != "output.weight"]
    shape = from_show("m", show_answer(small, tensors))
    assert shape.weights.tied
    assert shape.weights.gpu_bytes == shape.weights.text_bytes


@pytest.mark.parametrize(
    ("architecture", "blocks", "windowed"),
    [("gemma3", 34, 29), ("gptoss", 24, 12), ("gpt-oss", 36, 18), ("gemma2", 26, 13)],
)
def test_windows_that_only_the_architecture_tells(
    architecture: str, blocks: int, windowed: int
) -> None:
    fields = dense(architecture, block_count=blocks, sliding_window=512)
    shape = from_show("m", show_answer(fields))
    assert kinds(shape) == {"windowed": windowed, "full": blocks - windowed}
    assert {g.window for g in shape.layers if g.kind == "windowed"} == {512}


def test_a_pattern_for_each_layer_is_believed() -> None:
    pattern = [True, True, False] * 4
    fields = dense("gemma4", block_count=12, sliding_window=128, sliding_window_pattern=pattern,
                 key_length=512, value_length=512, key_length_swa=256, value_length_swa=256,
                 head_count_kv=[16 if windowed else 4 for windowed in pattern])  # fmt: skip
    shape = from_show("m", show_answer(fields))
    rows = {group.kind: (group.count, group.row) for group in shape.layers}
    assert rows == {"windowed": (8, 16 * 512), "full": (4, 4 * 1024)}


def test_hybrids_keep_a_state_in_three_of_four_layers() -> None:
    fields = dense("qwen35", block_count=64, embedding_length=5120, head_count=24, head_count_kv=4,
                 key_length=256, value_length=256, ssm__inner_size=6144, ssm__state_size=128,
                 ssm__group_count=16, ssm__conv_kernel=4)  # fmt: skip
    shape = from_show("m", show_answer(fields))
    assert kinds(shape) == {"recurrent": 48, "full": 16}
    assert state_bytes(shape, Setup(context=512)) == pytest.approx(149.6 * MIB, rel=1e-3)
    assert state_bytes(shape, Setup(context=512, slots=3)) == 3 * state_bytes(
        shape, Setup(context=512)
    )


def test_layers_without_heads_are_recurrent_or_only_feed() -> None:
    heads = [0, 0, 2, 0]
    fields = dense("nemotron_h", block_count=4, head_count_kv=heads, key_length=128,
                 value_length=128, feed_forward_length=[0, 1856, 0, 0],
                 ssm__inner_size=4096, ssm__state_size=128, ssm__group_count=8)  # fmt: skip
    assert kinds(from_show("m", show_answer(fields))) == {"recurrent": 2, "full": 1}


def test_latent_attention_keeps_one_compressed_row() -> None:
    fields = dense("deepseek2", block_count=47, head_count=20, head_count_kv=1, kv_lora_rank=512,
                 key_length_mla=256, key_length=576, value_length=512,
                 rope__dimension_count=64)  # fmt: skip
    shape = from_show("m", show_answer(fields))
    assert kinds(shape) == {"latent": 47}
    new, old = Setup(context=32768), Setup(context=32768, current=False)
    assert cache_bytes(shape, new) == 47 * 32768 * 576 * 2
    assert cache_bytes(shape, old) == 47 * 32768 * (576 + 512) * 2


def test_without_absorbed_heads_the_old_conversion_is_plain_attention() -> None:
    fields = dense("deepseek2", head_count=16, head_count_kv=16, kv_lora_rank=512, key_length=192,
                 value_length=128)  # fmt: skip
    assert kinds(from_show("m", show_answer(fields))) == {"full": 32}


def test_layers_that_share_the_cache_of_others_have_none() -> None:
    fields = dense("gemma3n", block_count=30, sliding_window=512, shared_kv_layers=10)
    assert sum(kinds(from_show("m", show_answer(fields))).values()) == 20


def test_next_token_blocks_are_a_draft_head() -> None:
    small = info("qwen35moe", block_count=3, nextn_predict_layers=1, embedding_length=64,
                 head_count=4, head_count_kv=1, full_attention_interval=1)  # fmt: skip
    shape = from_show("m", show_answer(small, dense_tensors(3)))
    assert shape.blocks == 2
    assert shape.weights.draft_bytes == 64 * 64 * 2 + 2 * 64 * 16 * 2 + 64 * 256 // 32 * 34


def test_tensors_overrule_what_keys_leave_out() -> None:
    """Arrays are null in a short answer; the key matrices still tell each layer's heads."""
    fields = info("gemma4", block_count=2, embedding_length=64, head_count=4, sliding_window=8,
                sliding_window_pattern=None, head_count_kv=None, key_length=32)  # fmt: skip
    tensors = [
        ("token_embd.weight", "F16", (64, 1000)),
        ("blk.0.attn_k.weight", "F16", (64, 16)),
        ("blk.0.attn_v.weight", "F16", (64, 16)),
        ("blk.1.attn_k.weight", "F16", (64, 48)),
    ]
    shape = from_show("m", show_answer(fields, tensors))
    assert sorted(group.row for group in shape.layers) == [32, 96]


def test_safetensors_of_an_engine() -> None:
    fields = info("qwen3", block_count=2, embedding_length=64, head_count=4, head_count_kv=2)
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
    shape = from_show("m", show_answer(fields, tensors, form="safetensors", quantization="nvfp4"))
    assert shape.format == "safetensors"
    assert shape.weights.text_bytes == 2 * 64000 * 33 // 32 + 4 * 2048 * 9 // 16
    assert shape.weights.draft_bytes == shape.weights.projector_bytes == 8192
    (layers,) = shape.layers
    assert (layers.kv_heads, layers.key_size) == (2, 16)
    demand = need(shape, Setup(context=4096))
    assert demand.part("weights").value == shape.weights.text_bytes
    assert demand.part("draft head").value == 8192


def test_experts_of_safetensors_come_from_their_tensors() -> None:
    fields = info("qwen3_moe", block_count=1, embedding_length=64, head_count=4, head_count_kv=2)
    tensors = [
        ("model.embed_tokens.weight", "BF16", (1000, 64)),
        ("model.layers.0.mlp.experts.gate_up_proj", "BF16", (128, 1536, 64)),
    ]
    shape = from_show("m", show_answer(fields, tensors, form="safetensors"))
    assert shape.experts is not None
    assert (shape.experts.count, shape.experts.used) == (128, 8)


def test_an_unknown_number_of_experts_used_gives_no_rate() -> None:
    fields = dense("strange", expert_count=64, expert_feed_forward_length=512)
    shape = from_show("m", show_answer(fields))
    assert shape.experts is not None
    assert shape.experts.used is None
    assert decode_rate(shape, muscle_of(CATALOGUE[0])) is None
    assert "how many experts" in " ".join(shape.notes)


def test_an_unknown_architecture_is_answered_wider_and_says_so() -> None:
    same = from_show("m", show_answer(dense("llama", vocab_size=1000)))
    strange = from_show("m", show_answer(dense("strange", vocab_size=1000)))
    assert "not known" in strange.notes[0]
    assert strange.certainty is Certainty.MODELLED
    left, right = (need(shape, Setup(context=8192)).gpu for shape in (same, strange))
    assert right.high - right.low > 2 * (left.high - left.low)
    muscle = muscle_of(CATALOGUE[0])
    wide, narrow = decode_rate(strange, muscle), decode_rate(same, muscle)
    assert wide is not None
    assert narrow is not None
    assert wide.expected.high > narrow.expected.high
    assert wide.expected.low < narrow.expected.low


def test_the_name_of_an_architecture_cannot_steer_a_terminal() -> None:
    made = dense("llama")
    strange = {key.replace("llama", "bad\x1b[31m"): value for key, value in made.items()}
    shape = from_show("m", show_answer({**strange, "general.architecture": "bad\x1b[31m"}))
    assert "\x1b" not in " ".join(shape.notes)


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
        from_show("m", show_answer(dense(**{key: value})))


@pytest.mark.parametrize("answer", [{}, {"model_info": None}, {"model_info": {}}])
def test_a_model_without_metadata_is_a_clear_message(answer: dict[str, object]) -> None:
    with pytest.raises(UserError, match="metadata"):
        from_show("m", answer)


def test_an_unknown_type_of_tensor_makes_the_weights_uncertain() -> None:
    small = info("llama", block_count=2, embedding_length=64, head_count=4, head_count_kv=1)
    strange = [*dense_tensors(2), ("blk.0.x.weight", "Q9_X", (64, 64))]
    shape = from_show("m", show_answer(small, strange))
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
    shape = from_show("m", show_answer({**model_info(config), "general.parameter_count": 10**9}))
    assert kinds(shape) == {"recurrent": 30, "full": 10}
    assert state_bytes(shape, Setup(context=256)) == pytest.approx(62.8 * MIB, rel=1e-3)


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
