"""Writes a tiny model as a GGUF file."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from fleet.engines.tiny import chain, templates, vocabulary
from fleet.engines.tiny.sizes import Kind, Sizes
from fleet.engines.tiny.vocabulary import Vocabulary

Floats = npt.NDArray[np.float32]

F16 = gguf.GGMLQuantizationType.F16
BF16 = gguf.GGMLQuantizationType.BF16
MXFP4 = gguf.GGMLQuantizationType.MXFP4

SHARPNESS = 16.0
"""Logit of the successor, roughly; the others stay near 0."""
LAYER_SHARE = 0.15
"""How much each layer adds to what flows past it: too little to change the successor."""
CONSTANT = 4.0
"""Channel 0 of every embedding. No layer writes to it, so it is known at the output."""
CONSTANT_AT_OUTPUT = 3.7
"""About what is left of it after the last norm."""


def write(kind: Kind, sizes: Sizes, path: Path) -> None:
    """Write the whole file, each byte decided by the arguments."""
    if kind == "llama":
        _Llama(kind, sizes, path).write()
    else:
        _GptOss(kind, sizes, path).write()


class _Model(ABC):
    dense: gguf.GGMLQuantizationType

    def __init__(self, kind: Kind, sizes: Sizes, path: Path) -> None:
        self.kind: Kind = kind
        self.sizes = sizes
        self.vocabulary = self.build_vocabulary()
        # RandomState: its stream is frozen over the versions of NumPy.
        self.random = np.random.RandomState(sizes.seed)
        self.file = gguf.GGUFWriter(path, kind)

    @abstractmethod
    def build_vocabulary(self) -> Vocabulary: ...

    @abstractmethod
    def header(self) -> None: ...

    @abstractmethod
    def layer(self, prefix: str) -> None: ...

    def write(self) -> None:
        self._common_header()
        self.header()
        embedding, output = self._matrices()
        self.put("token_embd.weight", embedding, self.dense)
        for number in range(self.sizes.layers):
            self.layer(f"blk.{number}.")
        self.put("output_norm.weight", np.ones(self.sizes.width, np.float32))
        self.put("output.weight", output, self.dense)
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()

    def put(self, name: str, data: Floats, kind: gguf.GGMLQuantizationType | None = None) -> None:
        """One tensor; without a type it stays F32, as vectors do everywhere in llama.cpp."""
        if kind is None:
            self.file.add_tensor(name, np.ascontiguousarray(data, dtype=np.float32))
        else:
            self.file.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)

    def noise(self, *shape: int, scale: float = 1.0) -> Floats:
        """Even noise of variance 1 times `scale`.

        No logarithm and no sum takes part, so it is the same to the last bit on every platform,
        and so are the digests of the models.
        """
        even = self.random.random_sample(shape) * 2.0 - 1.0
        return (even * (math.sqrt(3.0) * scale)).astype(np.float32)

    def silent(self, *shape: int, scale: float, axis: int) -> Floats:
        """Noise that writes nothing to channel 0, which lies along `axis`."""
        data = self.noise(*shape, scale=scale * LAYER_SHARE)
        data[(slice(None),) * axis + (0,)] = 0.0
        return data

    def attention(self, prefix: str, *, bias: bool) -> None:
        sizes, width = self.sizes, self.sizes.width
        wide, narrow = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
        self.put(f"{prefix}attn_norm.weight", np.ones(width, np.float32))
        for name, rows in (("attn_q", wide), ("attn_k", narrow), ("attn_v", narrow)):
            weight = self.noise(rows, width, scale=1 / math.sqrt(width))
            self.put(f"{prefix}{name}.weight", weight, self.dense)
            if bias:
                self.put(f"{prefix}{name}.bias", self.noise(rows, scale=0.02))
        back = self.silent(width, wide, scale=1 / math.sqrt(wide), axis=0)
        self.put(f"{prefix}attn_output.weight", back, self.dense)
        if bias:
            self.put(f"{prefix}attn_output.bias", self.silent(width, scale=0.02, axis=0))

    def tokenizer(self, pre: str, bos: str, eos: str, pad: str, template: str) -> None:
        ids = self.vocabulary.ids
        self.file.add_tokenizer_model("gpt2")
        self.file.add_tokenizer_pre(pre)
        self.file.add_token_list(self.vocabulary.tokens)
        self.file.add_token_types(self.vocabulary.types)
        self.file.add_token_merges(self.vocabulary.merges)
        self.file.add_bos_token_id(ids[bos])
        self.file.add_eos_token_id(ids[eos])
        self.file.add_pad_token_id(ids[pad])
        self.file.add_chat_template(template)

    def _common_header(self) -> None:
        sizes, file = self.sizes, self.file
        file.add_type("model")
        file.add_name(f"Tiny {self.kind}")
        file.add_size_label(f"{sizes.layers}x{sizes.width}")
        file.add_description("Random weights made for measurements; its text has no meaning.")
        file.add_context_length(sizes.context)
        file.add_embedding_length(sizes.width)
        file.add_block_count(sizes.layers)
        file.add_feed_forward_length(sizes.ff)
        file.add_head_count(sizes.heads)
        file.add_head_count_kv(sizes.kv_heads)
        file.add_key_length(sizes.head_dim)
        file.add_value_length(sizes.head_dim)
        file.add_rope_dimension_count(sizes.head_dim)
        file.add_layer_norm_rms_eps(1e-5)
        file.add_vocab_size(len(self.vocabulary.tokens))
        file.add_quantization_version(gguf.GGML_QUANT_VERSION)

    def _matrices(self) -> tuple[Floats, Floats]:
        """Embedding and output, tied by the chain: each row of output is its predecessor's code."""
        width, count = self.sizes.width, len(self.vocabulary.tokens)
        words = self.vocabulary.words.copy()
        np.random.RandomState(self.sizes.seed + 1).shuffle(words)
        walk = chain.build(self.kind, self.vocabulary, words, self.sizes)
        embedding = self.noise(count, width)
        embedding[:, 0] = 0.0
        output = np.zeros((count, width), np.float32)
        for token, follower in walk.follower.items():
            output[follower] += embedding[token] * np.float32(SHARPNESS / width)
        embedding[:, 0] = CONSTANT
        if walk.fallback is not None:
            output[walk.fallback, 0] = 0.6 * SHARPNESS / CONSTANT_AT_OUTPUT
        for token in walk.forbidden(self.vocabulary):
            output[token] = 0.0
            output[token, 0] = -4.0 * SHARPNESS
        return embedding, output


class _Llama(_Model):
    dense = F16

    def build_vocabulary(self) -> Vocabulary:
        return vocabulary.build(self.sizes.vocab, templates.LLAMA_SPECIALS)

    def header(self) -> None:
        self.file.add_rope_freq_base(10_000.0)
        self.file.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        ends = ("<|begin_of_text|>", "<|im_end|>", "<|end_of_text|>")
        self.tokenizer("llama-bpe", *ends, templates.CHATML)
        self.file.add_add_bos_token(True)
        self.file.add_eot_token_id(self.vocabulary.ids["<|im_end|>"])

    def layer(self, prefix: str) -> None:
        width, ff = self.sizes.width, self.sizes.ff
        self.attention(prefix, bias=False)
        self.put(f"{prefix}ffn_norm.weight", np.ones(width, np.float32))
        for name in ("ffn_gate", "ffn_up"):
            weight = self.noise(ff, width, scale=1 / math.sqrt(width))
            self.put(f"{prefix}{name}.weight", weight, self.dense)
        down = self.silent(width, ff, scale=1 / math.sqrt(ff), axis=0)
        self.put(f"{prefix}ffn_down.weight", down, self.dense)


class _GptOss(_Model):
    dense = BF16

    def build_vocabulary(self) -> Vocabulary:
        bridge = (templates.HARMONY_BRIDGE,)
        return vocabulary.build(self.sizes.vocab, templates.HARMONY_SPECIALS, bridge)

    def header(self) -> None:
        file, sizes = self.file, self.sizes
        file.add_expert_count(sizes.experts)
        file.add_expert_used_count(sizes.experts_used)
        file.add_expert_feed_forward_length(sizes.ff)
        file.add_sliding_window(sizes.window)
        file.add_rope_freq_base(150_000.0)
        file.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        file.add_rope_scaling_factor(32.0)
        file.add_rope_scaling_orig_ctx_len(4096)
        file.add_file_type(gguf.LlamaFileType.MOSTLY_MXFP4_MOE)
        ends = ("<|startoftext|>", "<|return|>", "<|endoftext|>")
        self.tokenizer("gpt-4o", *ends, templates.HARMONY)
        file.add_add_bos_token(False)

    def layer(self, prefix: str) -> None:
        width, ff, experts = self.sizes.width, self.sizes.ff, self.sizes.experts
        self.attention(prefix, bias=True)
        self.put(f"{prefix}attn_sinks.weight", self.noise(self.sizes.heads, scale=0.5))
        self.put(f"{prefix}post_attention_norm.weight", np.ones(width, np.float32))
        router = self.noise(experts, width, scale=1 / math.sqrt(width))
        self.put(f"{prefix}ffn_gate_inp.weight", router)
        self.put(f"{prefix}ffn_gate_inp.bias", self.noise(experts, scale=0.1))
        for name in ("ffn_gate_exps", "ffn_up_exps"):
            weight = self.noise(experts, ff, width, scale=1 / math.sqrt(width))
            self.put(f"{prefix}{name}.weight", weight, MXFP4)
            self.put(f"{prefix}{name}.bias", self.noise(experts, ff, scale=0.02))
        down = self.silent(experts, width, ff, scale=1 / math.sqrt(ff), axis=1)
        self.put(f"{prefix}ffn_down_exps.weight", down, MXFP4)
        self.put(f"{prefix}ffn_down_exps.bias", self.silent(experts, width, scale=0.02, axis=1))
