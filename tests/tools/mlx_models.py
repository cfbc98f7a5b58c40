"""Makes tiny models for Ollama's MLX engine out of the tiny llama's GGUF file.

`make_twin` writes the same weights, words and template as a safetensors checkpoint. Both give the
same text and the same counts of tokens, so the engine is the only difference. `make_drafting`
writes a model with a draft head, whose text is the GGUF's own walk through its vocabulary. Each
folder holds a checkpoint as Hugging Face writes them (float32) and a Modelfile for
`ollama create NAME --experimental -f FOLDER/Modelfile`. Equal arguments give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

Array = np.ndarray
Weights = dict[str, Array]

NORMAL, CONTROL = 1, 3
"""Values of tokenizer.ggml.token_type: text, and tokens that only a template may write."""

LLAMA_3_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the pre-tokenizer `llama-bpe` splits a text before any merge."""

CHATML = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
    "{{ end }}<|im_start|>assistant\n"
)
"""The GGUF's own Jinja template, as Ollama's MLX engine wants it."""

LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Names of a layer's tensors, llama.cpp's and Hugging Face's."""


def make_twin(gguf: Path, folder: Path) -> Path:
    """Write the twin of a tiny llama and return its Modelfile."""
    source = Source(gguf)
    config, weights = _twin(source)
    return _write(folder, source.vocabulary(), config, weights)


def make_drafting(gguf: Path, folder: Path, acceptance: int, layers: int = 16) -> Path:
    """Write a model with a draft head and return its Modelfile.

    `acceptance` is the chance in percent that a draft is right whose predecessors were. Ollama's
    log counts a draft behind a wrong one as not accepted, so of 70 % there remain 0.60 at depth 2
    and 0.51 at depth 3.
    """
    source = Source(gguf)
    vocabulary = source.vocabulary()
    chain = _chain(source, vocabulary)
    config, weights = _drafting(chain, acceptance, DraftSizes(layers=layers))
    return _write(folder, vocabulary, config, weights)


@dataclass(frozen=True)
class Vocabulary:
    """A byte-level BPE vocabulary and its special tokens."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    begin: int
    end: int
    add_begin: bool = True


class Source:
    """A GGUF file: its metadata, vocabulary and weights."""

    def __init__(self, path: Path):
        self._reader = GGUFReader(str(path))
        if self.fact("general.architecture") != "llama":
            raise ValueError(f"{path} is not a llama")
        if self.fact("tokenizer.ggml.pre") != "llama-bpe":
            raise ValueError(f"{path} has another pre-tokenizer than llama-bpe")

    def fact(self, key: str, default: Any = None) -> Any:
        field = self._reader.get_field(key)
        return default if field is None else field.contents()

    def size(self, key: str) -> Any:
        return self.fact(f"llama.{key}")

    def vocabulary(self) -> Vocabulary:
        kinds = ("tokens", "token_type", "merges", "bos_token_id", "eos_token_id", "add_bos_token")
        return Vocabulary(*(self.fact(f"tokenizer.ggml.{kind}") for kind in kinds))

    def weights(self) -> Weights:
        return {
            tensor.name: dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            for tensor in self._reader.tensors
        }


def _twin(source: Source) -> tuple[dict[str, Any], Weights]:
    """Return config and weights of the same model under Hugging Face's names."""
    tensors = source.weights()
    heads, key_heads = source.size("attention.head_count"), source.size("attention.head_count_kv")
    weights = {
        "model.embed_tokens.weight": tensors["token_embd.weight"],
        "model.norm.weight": tensors["output_norm.weight"],
        "lm_head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
    }
    rotated = {"attn_q": heads, "attn_k": key_heads}
    for layer in range(source.size("block_count")):
        for gguf_name, hf_name in LAYER_PARTS.items():
            weight = tensors[f"blk.{layer}.{gguf_name}.weight"]
            if gguf_name in rotated:
                weight = _halves(weight, rotated[gguf_name])
            weights[f"model.layers.{layer}.{hf_name}.weight"] = weight
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": source.size("embedding_length"),
        "num_hidden_layers": source.size("block_count"),
        "intermediate_size": source.size("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "head_dim": source.size("attention.key_length"),
        "rms_norm_eps": source.size("attention.layer_norm_rms_epsilon"),
        "rope_theta": source.size("rope.freq_base"),
        "max_position_embeddings": source.size("context_length"),
    }
    return config, weights


def _halves(weight: Array, heads: int) -> Array:
    """Reorder the rows: Hugging Face rotates a head's halves, llama.cpp neighbouring rows."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns)


@dataclass(frozen=True)
class DraftSizes:
    layers: int = 16
    heads: int = 5
    key_heads: int = 1
    head_dim: int = 64
    inner: int = 64
    context: int = 8192

    @property
    def width(self) -> int:
        return self.heads * self.head_dim


def _drafting(chain: Chain, acceptance: int, sizes: DraftSizes) -> tuple[dict[str, Any], Weights]:
    """Return config and weights of a Qwen 3.5 whose next token follows from the last one alone.

    Its layers are computed but add nothing. Its draft head reads the last token's embedding and
    drafts what the model will say, except for 100 - `acceptance` % of the tokens: those carry a
    mark in one channel of their embedding, which only the head moves to another channel, where the
    output matrix turns it into one wrong word.
    """
    count, narrow = chain.embedding.shape
    if narrow > sizes.width - 2:
        raise ValueError(f"the GGUF is {narrow} wide, and the draft model only {sizes.width - 2}")
    mark, wrong = sizes.width - 2, sizes.width - 1
    embedding = np.zeros((count, sizes.width), np.float32)
    embedding[:, :narrow] = chain.embedding
    chance = np.random.RandomState(1)  # its stream is the same in every NumPy
    embedding[chance.permutation(count) >= count * acceptance / 100, mark] = 4.0
    output = np.zeros((count, sizes.width), np.float32)
    output[:, :narrow] = chain.output
    output[chain.wrong_word, wrong] = 4.0 * np.abs(chain.output).sum(axis=1).max()

    join = np.zeros((sizes.width, 2 * sizes.width), np.float32)  # of [embedding, hidden state]
    join[np.arange(sizes.width), np.arange(sizes.width)] = 1.0
    join[mark, mark], join[wrong, mark] = 0.0, 1.0

    nothing = np.zeros(sizes.width, np.float32)  # norms are stored as their difference from one
    weights = {
        "model.embed_tokens.weight": embedding,
        "model.norm.weight": nothing,
        "lm_head.weight": output,
        "mtp.fc.weight": join,
        "mtp.norm.weight": nothing,
        "mtp.pre_fc_norm_embedding.weight": nothing,
        "mtp.pre_fc_norm_hidden.weight": nothing,
    }
    for layer in (*(f"model.layers.{i}." for i in range(sizes.layers)), "mtp.layers.0."):
        weights |= {layer + name: weight for name, weight in _idle_layer(sizes, chance).items()}
    config = {
        "architectures": ["Qwen3_5ForCausalLM"],
        "model_type": "qwen3_5_text",
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.layers,
        "intermediate_size": sizes.inner,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.key_heads,
        "head_dim": sizes.head_dim,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "max_position_embeddings": sizes.context,
        "layer_types": ["full_attention"] * sizes.layers,
        "full_attention_interval": 1,
        "linear_num_value_heads": 2,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_conv_kernel_dim": 4,
        "mtp_num_hidden_layers": 1,
    }
    return config, weights


def _idle_layer(sizes: DraftSizes, chance: np.random.RandomState) -> Weights:
    """Return random weights, but zeros in the two matrices that write to the residual stream."""
    query, key = sizes.heads * sizes.head_dim, sizes.key_heads * sizes.head_dim

    def random(*shape: int) -> Array:
        drawn: Array = chance.standard_normal(shape) / np.sqrt(shape[-1])
        return drawn.astype(np.float32)

    def zero(*shape: int) -> Array:
        return np.zeros(shape, np.float32)

    parts = {
        "input_layernorm": zero(sizes.width),
        "post_attention_layernorm": zero(sizes.width),
        "self_attn.q_proj": random(2 * query, sizes.width),  # the second half is the output gate
        "self_attn.k_proj": random(key, sizes.width),
        "self_attn.v_proj": random(key, sizes.width),
        "self_attn.o_proj": zero(sizes.width, query),
        "self_attn.q_norm": zero(sizes.head_dim),
        "self_attn.k_norm": zero(sizes.head_dim),
        "mlp.gate_proj": random(sizes.inner, sizes.width),
        "mlp.up_proj": random(sizes.inner, sizes.width),
        "mlp.down_proj": zero(sizes.width, sizes.inner),
    }
    return {f"{name}.weight": weight for name, weight in parts.items()}


@dataclass(frozen=True)
class Chain:
    """The matrices of a fixed walk through words, and a word that is not on the walk."""

    embedding: Array
    output: Array
    wrong_word: int


def _chain(source: Source, vocabulary: Vocabulary) -> Chain:
    """Return the GGUF's own walk. It never meets a single byte, so that is a wrong word."""
    tensors = source.weights()
    return Chain(
        tensors["token_embd.weight"], tensors["output.weight"], vocabulary.tokens.index("~")
    )


def _write(
    folder: Path, vocabulary: Vocabulary, config: Mapping[str, Any], weights: Weights
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ends = {"bos_token_id": vocabulary.begin, "eos_token_id": vocabulary.end}
    size = {
        "vocab_size": len(vocabulary.tokens),
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }
    marks = {
        "bos_token": vocabulary.tokens[vocabulary.begin],
        "eos_token": vocabulary.tokens[vocabulary.end],
        "add_bos_token": bool(vocabulary.add_begin),
    }
    files = {
        "config.json": {**config, **size, **ends},
        "generation_config.json": ends,
        "tokenizer_config.json": marks,
        "tokenizer.json": _tokenizer(vocabulary),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    whole = {name: np.ascontiguousarray(weight, np.float32) for name, weight in weights.items()}
    checkpoint = folder / "model.safetensors"
    save_file(whole, checkpoint, metadata={"format": "pt"})
    checkpoint.chmod(0o644)  # save_file gives it to its owner alone
    modelfile = folder / "Modelfile"
    modelfile.write_text(f'FROM {folder.resolve()}\nTEMPLATE """{CHATML}"""\n', encoding="utf-8")
    return modelfile


def _tokenizer(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the content of tokenizer.json, as the package tokenizers writes it."""
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == CONTROL,
        }
        for number, (token, kind) in enumerate(
            zip(vocabulary.tokens, vocabulary.types, strict=True)
        )
        if kind != NORMAL
    ]
    bytewise = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    pieces = {
        "type": "Split",
        "pattern": {"Regex": LLAMA_3_PIECES},
        "behavior": "Isolated",
        "invert": False,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [pieces, {**bytewise, "use_regex": False}],
        },
        "post_processor": None,
        "decoder": {**bytewise, "add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(vocabulary.tokens)},
            "merges": vocabulary.merges,
        },
    }
