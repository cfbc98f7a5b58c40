"""Bytes and parameters of a model, exact from its list of tensors.

GGUF names (`blk.0.ffn_up_exps.weight`) and the names of safetensors files
(`model.layers.0.mlp.experts...`) are both understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from fleet.advisor.amounts import Certainty
from fleet.advisor.shape import Weights
from fleet.errors import UserError
from fleet.model.tensors import Tensor

UNKNOWN_TYPE_ERROR = 0.1
"""Half width of the interval where the type of at least one tensor is not known."""


class Role(Enum):
    """What a tensor is for."""

    TABLE = "token table"
    LAYER_TABLE = "table of every layer"
    OUTPUT = "output matrix"
    EXPERT = "routed expert"
    PROJECTOR = "reader of pictures or sound"
    DRAFT = "draft head"
    DENSE = "read for every token"


_PATTERNS: tuple[tuple[Role, re.Pattern[str]], ...] = (
    (Role.DRAFT, re.compile(r"(^|\.)(draft|mtp|nextn|eh_proj)(\.|$)")),
    (
        Role.PROJECTOR,
        re.compile(
            r"^(v|mm|a)\.|vision|visual|audio|multi_modal|mmproj|embed_vision|embed_audio|image_"
        ),
    ),
    (Role.LAYER_TABLE, re.compile(r"^per_layer_token_embd|embed_tokens_per_layer")),
    (Role.TABLE, re.compile(r"^token_embd\.|(^|\.)(embed_tokens|wte|tok_embeddings)\.")),
    (Role.OUTPUT, re.compile(r"^output\.|(^|\.)lm_head\.")),
    (Role.EXPERT, re.compile(r"_exps(\.|$)|\.experts\.|\.switch_mlp\.|gate_up_exps|\.experts_")),
)
_BLOCK = re.compile(r"(?:^|\.)(?:blk|layers|h)\.(\d+)\.")


def role_of(name: str, blocks: int | None = None) -> Role:
    """Tell what a tensor is for.

    Blocks beyond the last are a draft head (next-token prediction).
    """
    role = next((role for role, pattern in _PATTERNS if pattern.search(name)), Role.DENSE)
    block = block_of(name)
    beyond = blocks is not None and block is not None and block >= blocks
    return Role.DRAFT if beyond and role is not Role.PROJECTOR else role


def block_of(name: str) -> int | None:
    """Return the number of the block that a tensor belongs to."""
    match = _BLOCK.search(name)
    return int(match[1]) if match and len(match[1]) < 6 else None


@dataclass(slots=True)
class _Tally:
    bytes: int = 0
    parameters: int = 0


def weigh(tensors: Sequence[Tensor], blocks: int | None = None) -> Weights:
    """Sum the bytes and the parameters of a model; UserError where no tensor has a known type."""
    tallies = {role: _Tally() for role in Role}
    unknown = 0
    for tensor in tensors:
        size = tensor.bytes
        if size is None:
            unknown += 1
            continue
        tally = tallies[role_of(tensor.name, blocks)]
        tally.bytes += size
        tally.parameters += tensor.elements
    if unknown == len(tensors):
        raise UserError("no tensor of this model has a type that is known here", "upgrade fleet")
    return _weights(tallies, certain=not unknown)


def _weights(tallies: Mapping[Role, _Tally], *, certain: bool) -> Weights:
    text = [t for role, t in tallies.items() if role not in (Role.PROJECTOR, Role.DRAFT)]
    table, layer_table = tallies[Role.TABLE], tallies[Role.LAYER_TABLE]
    tied = not tallies[Role.OUTPUT].bytes
    return Weights(
        text_bytes=sum(tally.bytes for tally in text),
        table_bytes=table.bytes + layer_table.bytes,
        tied=tied,
        tied_bytes=table.bytes if tied else 0,
        expert_bytes=tallies[Role.EXPERT].bytes,
        projector_bytes=tallies[Role.PROJECTOR].bytes,
        draft_bytes=tallies[Role.DRAFT].bytes,
        parameters=sum(tally.parameters for tally in text),
        table_parameters=table.parameters + layer_table.parameters,
        expert_parameters=tallies[Role.EXPERT].parameters,
        certainty=Certainty.EXACT if certain else Certainty.MODELLED,
        error=0.0 if certain else UNKNOWN_TYPE_ERROR,
    )


@dataclass(frozen=True, slots=True)
class BlockRows:
    """What the tensors of one block tell of its attention; sizes in elements."""

    key: int = 0
    value: int = 0
    query: int = 0
    fused: int = 0
    """Rows of a matrix that holds queries, keys and values."""
    latent: int = 0
    """Compressed row of latent attention, position part included."""
    recurrent: bool = False


_ATTENTION = {
    "attn_k.weight": "key",
    "k_proj.weight": "key",
    "attn_v.weight": "value",
    "v_proj.weight": "value",
    "attn_q.weight": "query",
    "q_proj.weight": "query",
    "attn_qkv.weight": "fused",
    "qkv_proj.weight": "fused",
    "attn_kv_a_mqa.weight": "latent",
    "kv_a_proj_with_mqa.weight": "latent",
}
_RECURRENT = ("ssm_", "shortconv", "linear_attn", "mamba", "conv.conv")


def rows_by_block(tensors: Iterable[Tensor], width: int) -> dict[int, BlockRows]:
    """Return the attention of every block whose tensors are listed.

    `width` is that of the model.
    """
    rows_of_block: dict[int, dict[str, int]] = {}
    recurrent: set[int] = set()
    for tensor in tensors:
        block = block_of(tensor.name)
        if block is None or role_of(tensor.name) is not Role.DENSE:
            continue
        rows = rows_of_block.setdefault(block, {})
        if any(word in tensor.name for word in _RECURRENT):
            recurrent.add(block)
        for ending, field in _ATTENTION.items():
            if tensor.name.endswith(ending) and len(tensor.shape) == 2:
                rows[field] = _output_rows(tensor.shape, width)
    return {
        block: BlockRows(**rows, recurrent=block in recurrent)
        for block, rows in rows_of_block.items()
    }


def _output_rows(shape: tuple[int, ...], width: int) -> int:
    """Return the side of a matrix that is not the model's width.

    Engines list shapes in either order.
    """
    first, second = shape
    return first if second == width and first != width else second
