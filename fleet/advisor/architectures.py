"""What the name of an architecture tells where the metadata is silent.

The rules are those of llama.cpp and of Ollama's own engine: which layers look back through a
window, which keep a state of constant size, and how large that state is.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleet.advisor.shape import Experts

F32_BYTES = 4

SAME = {
    "gptoss": "gpt-oss",
    "gpt_oss": "gpt-oss",
    "gemma3_text": "gemma3",
    "gemma4_text": "gemma4",
    "gemma4_unified": "gemma4",
    "qwen3_moe": "qwen3moe",
    "qwen3_5": "qwen35",
    "qwen3_5_text": "qwen35",
    "qwen3_5_moe": "qwen35moe",
    "qwen3_5_moe_text": "qwen35moe",
    "qwen3_next": "qwen3next",
    "qwen3vl": "qwen3",
    "qwen3_vl": "qwen3",
    "qwen3vlmoe": "qwen3moe",
    "qwen3_vl_moe": "qwen3moe",
    "qwen25vl": "qwen2",
    "qwen2vl": "qwen2",
    "glm4moelite": "deepseek2",
    "glm4_moe_lite": "deepseek2",
    "deepseek_v3": "deepseek2",
    "deepseek_v2": "deepseek2",
    "mistral3": "llama",
    "ministral3": "llama",
    "mistral": "llama",
    "mllama": "llama",
    "nemotron_h_moe": "nemotron_h",
    "lfm2moe": "lfm2",
    "cohere2moe": "cohere2",
    "cohere2_moe": "cohere2",
}
"""Names of one architecture: Ollama's, those of the converters, and those of model families that
differ only in parts which take no memory of their own."""

KNOWN = frozenset(
    """llama llama4 qwen2 qwen2moe qwen3 qwen3moe qwen35 qwen35moe qwen3next gemma gemma2 gemma3
    gemma3n gemma4 gpt-oss phi2 phi3 deepseek2 glm4 glm4moe granite granitemoe granitehybrid
    command-r cohere2 minimax-m2 nemotron_h lfm2 olmo2 olmo3 starcoder2 stablelm exaone4 smollm3
    falcon-h1 mamba mamba2 jamba seed_oss ernie4_5 ernie4_5-moe hunyuan-moe dots1 bailingmoe2
    internlm2 baichuan gptneox bloom orion""".split()
)


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Of every `period` layers one sees all tokens, the last one or the first one."""

    period: int
    full_last: bool = True
    default_window: int = 0

    def is_full(self, layer: int) -> bool:
        """Layers count from 0."""
        place = layer % self.period
        return place == (self.period - 1 if self.full_last else 0)


WINDOWS: dict[str, WindowRule] = {
    "gpt-oss": WindowRule(2, default_window=128),
    "gemma2": WindowRule(2, default_window=4096),
    "gemma3": WindowRule(6, default_window=1024),
    "gemma3n": WindowRule(5, default_window=512),
    "gemma4": WindowRule(6, default_window=1024),
    "llama4": WindowRule(4, default_window=8192),
    "cohere2": WindowRule(4, default_window=4096),
    "olmo3": WindowRule(4, default_window=4096),
    "olmo2": WindowRule(4),
    "exaone4": WindowRule(4),
}

FULL_ATTENTION_INTERVAL = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4}
"""Of so many layers the last one has attention; the others keep a state."""

LATENT = frozenset({"deepseek2"})

EXPERTS_USED = {
    ("qwen3moe", 128): 8,
    ("qwen35moe", 256): 8,
    ("qwen35moe", 512): 10,
    ("qwen3next", 512): 10,
    ("gpt-oss", 32): 4,
    ("gpt-oss", 128): 4,
    ("gemma4", 128): 8,
    ("deepseek2", 64): 4,
    ("deepseek2", 256): 8,
    ("nemotron_h", 128): 6,
    ("nemotron_h", 512): 22,
}
"""Experts that one token uses, by architecture and number of experts; Ollama does not tell it of
safetensors models. Source: the published configurations of the models of that size."""

WIDE_REST = frozenset({"gpt-oss"})
"""Mixtures whose attention heads are wider than the model count in the compute buffer."""


def plain(architecture: str) -> str:
    """Return the one name of an architecture that goes by several."""
    low = architecture.lower()
    return SAME.get(low, low)


def state_bytes(*, conv_kernel: int, inner: int, state: int, groups: int) -> int:
    """Bytes of one recurrent layer for one sequence, F32: the convolution's memory and the state.

    It is the rule of llama.cpp for Mamba 2 and for the gated delta net: 2.09 MiB for Qwen 3.6 35B
    (30 layers: 62.8 MiB) and 3.12 MiB for 27B (48 layers: 149.6 MiB), as its log prints them.
    """
    convolution = max(conv_kernel - 1, 0) * (inner + 2 * groups * state)
    return F32_BYTES * (convolution + state * inner)


def experts_used(architecture: str, experts: Experts) -> int | None:
    """How many experts a token uses where the metadata does not say it; None if nobody knows."""
    return EXPERTS_USED.get((plain(architecture), experts.count))
