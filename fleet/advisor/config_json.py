"""The metadata keys of a model from its `config.json`, as published beside safetensors files."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.advisor.architectures import plain
from fleet.errors import UserError

KEYS = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "v_head_dim": "attention.value_length",
    "sliding_window": "attention.sliding_window",
    "max_position_embeddings": "context_length",
    "vocab_size": "vocab_size",
    "num_experts": "expert_count",
    "num_local_experts": "expert_count",
    "n_routed_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
    "first_k_dense_replace": "leading_dense_block_count",
    "kv_lora_rank": "attention.kv_lora_rank",
    "qk_rope_head_dim": "rope.dimension_count",
    "full_attention_interval": "full_attention_interval",
    "linear_conv_kernel_dim": "ssm.conv_kernel",
    "linear_num_key_heads": "ssm.group_count",
    "linear_key_head_dim": "ssm.state_size",
    "linear_num_value_heads": "ssm.time_step_rank",
}
"""The name in `config.json` to the key of `/api/show`."""

TEXT_PARTS = ("text_config", "llm_config", "language_config")


def model_info(config: Mapping[str, object]) -> dict[str, object]:
    """Return the keys that the rest of the advisor reads.

    A model that also sees has them one level down. Values that are null, or of a kind that no
    number is, are left out.
    """
    text = next((config[key] for key in TEXT_PARTS if isinstance(config.get(key), Mapping)), config)
    assert isinstance(text, Mapping)
    name = text.get("model_type") or config.get("model_type")
    if not isinstance(name, str) or not name:
        raise UserError("this config.json names no model_type", "name the folder of a model")
    name = plain(name)
    info: dict[str, object] = {"general.architecture": name}
    for key, ours in KEYS.items():
        value = text.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            info[f"{name}.{ours}"] = value
    _add_states(info, name, text)
    _add_latent(info, name, text)
    if text.get("use_sliding_window") is False:
        info.pop(f"{name}.attention.sliding_window", None)
    return info


def _add_states(info: dict[str, object], name: str, text: Mapping[str, object]) -> None:
    heads, size = text.get("linear_num_value_heads"), text.get("linear_value_head_dim")
    if isinstance(heads, int) and isinstance(size, int):
        info[f"{name}.ssm.inner_size"] = heads * size


def _add_latent(info: dict[str, object], name: str, text: Mapping[str, object]) -> None:
    nope, rope = text.get("qk_nope_head_dim"), text.get("qk_rope_head_dim")
    if isinstance(nope, int) and isinstance(rope, int):
        info[f"{name}.attention.key_length_mla"] = nope + rope
        info[f"{name}.attention.head_count_kv"] = 1
