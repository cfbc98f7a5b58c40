"""A model's shape from its metadata: `/api/show`, or the head of a model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fleet.advisor.amounts import Certainty
from fleet.advisor.architectures import EXPERTS_USED, KNOWN, LATENT
from fleet.advisor.keys import Keys
from fleet.advisor.layers import describe_layers
from fleet.advisor.recipes import estimated_weights
from fleet.advisor.shape import Experts, Latent, ModelShape, WeightFormat, Weights
from fleet.advisor.weights import Role, role_of, weigh
from fleet.errors import UserError
from fleet.model.tensors import Tensor

UNKNOWN_ARCHITECTURE = (
    "the architecture {name} is not known here: layers are taken as plain attention"
)


def from_show(name: str, answer: Mapping[str, object], file_bytes: int | None = None) -> ModelShape:
    """Return the shape of a model from the answer of `/api/show`.

    `file_bytes` is its size on disk.
    """
    info = answer.get("model_info")
    if not isinstance(info, Mapping) or not info:
        raise UserError(
            f"{name}: the engine tells no metadata of this model",
            "name a model of the catalogue, or the model's GGUF file",
        )
    details = answer.get("details")
    details = details if isinstance(details, Mapping) else {}
    form: WeightFormat = "safetensors" if details.get("format") == "safetensors" else "gguf"
    return from_metadata(
        name,
        info,
        tensors_of(answer.get("tensors")),
        form=form,
        quantization=_word(details.get("quantization_level")),
        file_bytes=file_bytes,
    )


def tensors_of(entries: object) -> tuple[Tensor, ...]:
    """Return the tensors as `/api/show` lists them.

    An entry without name, type and shape is an error.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return ()
    return tuple(_tensor(entry) for entry in entries)


def _tensor(entry: object) -> Tensor:
    if isinstance(entry, Mapping):
        name, kind, shape = entry.get("name"), entry.get("type"), entry.get("shape")
        if isinstance(name, str) and isinstance(kind, str) and isinstance(shape, Sequence):
            sizes = [size for size in shape if isinstance(size, int) and size >= 0]
            if len(sizes) == len(shape):
                return Tensor(name, kind, tuple(sizes))
    raise UserError("the list of tensors has an entry without name, type and shape")


# parameters: a model's file gives the first three, its surroundings the others
def from_metadata(
    name: str,
    info: Mapping[str, object],
    tensors: Sequence[Tensor] = (),
    *,
    form: WeightFormat = "gguf",
    quantization: str = "",
    file_bytes: int | None = None,
) -> ModelShape:
    """Return the shape from the keys and the tensors of a model file.

    It raises UserError if they say too little. Weights without tensors are estimated, and say so.
    """
    keys = Keys(info)
    blocks = keys.needed("block_count")
    blocks -= min(keys.integer("nextn_predict_layers") or 0, blocks - 1)
    width = keys.needed("embedding_length")
    description = describe_layers(keys, blocks, width, tensors)
    experts = _experts(keys, width, tensors)
    notes = _notes(keys, description.notes, experts)
    shape = ModelShape(
        name=name,
        architecture=keys.architecture,
        format=form,
        blocks=blocks,
        width=width,
        feed_forward=_feed_forward(keys, experts),
        heads=description.heads,
        attention_width=description.attention_width,
        vocabulary=_vocabulary(keys, width, tensors),
        trained_context=keys.integer("context_length") or None,
        layers=description.layers,
        weights=Weights(text_bytes=0, table_bytes=0, tied=False),
        experts=experts,
        latent=_latent(keys),
        quantization=quantization,
        certainty=Certainty.EXACT if not notes else Certainty.MODELLED,
        notes=notes,
    )
    return _weighed(shape, keys, tensors, file_bytes)


def _notes(keys: Keys, assumed: Sequence[str], experts: Experts | None) -> tuple[str, ...]:
    """Name what the metadata leaves open."""
    notes = list(assumed)
    if keys.architecture not in KNOWN:
        notes.insert(0, UNKNOWN_ARCHITECTURE.format(name=_printable(keys.name)))
    if experts and experts.used is None:
        notes.append("the metadata does not say how many experts a token uses")
    return tuple(notes)


def _weighed(
    shape: ModelShape, keys: Keys, tensors: Sequence[Tensor], file_bytes: int | None
) -> ModelShape:
    if tensors:
        return replace(shape, weights=weigh(tensors, shape.blocks))
    count = keys.general("general.parameter_count")
    parameters = count if isinstance(count, int) and 0 < count < 2**60 else None
    weights = estimated_weights(shape, parameters, file_bytes)
    if weights is None:
        raise UserError(
            f"{shape.name}: neither tensors nor the number of parameters are told",
            "name the model's GGUF file",
        )
    return replace(shape, weights=weights)


def _experts(keys: Keys, width: int, tensors: Sequence[Tensor]) -> Experts | None:
    count = keys.integer("expert_count")
    if count:
        used = keys.integer("expert_used_count") or None
        wide = keys.integer("expert_feed_forward_length") or keys.integer("feed_forward_length")
        if used is not None and used > count:
            raise UserError(f"the metadata of this model uses {used} of {count} experts")
        return Experts(count=count, used=used or _usual(keys, count), width=wide or width)
    shapes = [t.shape for t in tensors if role_of(t.name) is Role.EXPERT and len(t.shape) == 3]
    if not shapes:
        return None
    first = shapes[0]
    ends = [size for size in (first[0], first[-1]) if size != width] or [first[0]]
    count = min(ends)
    others = [size for size in first if size not in (width, count)]
    return Experts(count=count, used=_usual(keys, count), width=min(others, default=width))


def _usual(keys: Keys, count: int) -> int | None:
    return EXPERTS_USED.get((keys.architecture, count))


def _feed_forward(keys: Keys, experts: Experts | None) -> int:
    """Return the widest feed-forward part that is no routed expert; 0 where there is none."""
    plain = keys.integer("feed_forward_length") or 0
    if experts is None:
        return plain
    shared = keys.integer("expert_shared_feed_forward_length") or 0
    dense = plain if keys.integer("leading_dense_block_count") else 0
    return max(shared, dense)


def _latent(keys: Keys) -> Latent | None:
    rank = keys.integer("attention.kv_lora_rank")
    if not rank or keys.architecture not in LATENT:
        return None
    rope = keys.integer("rope.dimension_count") or 64
    head = keys.integer("attention.key_length_mla") or keys.integer("attention.key_length") or rope
    return Latent(kv_rank=rank, rope=rope, nope=max(head - rope, 0))


def _vocabulary(keys: Keys, width: int, tensors: Sequence[Tensor]) -> int:
    """Rows of the token table; the tensor knows best, since files pad it."""
    for tensor in tensors:
        if role_of(tensor.name) is Role.TABLE and len(tensor.shape) == 2:
            first, second = tensor.shape
            return first if second == width else second
    count = keys.general("tokenizer.ggml.token_count")
    number = keys.integer("vocab_size") or (count if isinstance(count, int) else 0)
    tokens = keys.general("tokenizer.ggml.tokens")
    return number or (len(tokens) if isinstance(tokens, list) else 0)


def _printable(text: str) -> str:
    """Text of a file, without what a terminal would obey."""
    return "".join(letter for letter in text[:40] if letter.isprintable())


def _word(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() and len(value) < 40 else ""
