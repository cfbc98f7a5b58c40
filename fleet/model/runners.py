"""Which program computes a model's answers, and from which of its counters a speed is made."""

from __future__ import annotations

from typing import Literal

from fleet.model.machine import TAG
from fleet.model.ollama_versions import LLAMA_SERVER, version_of

Runner = Literal["llama-server", "older engine", "mlx", "llama.cpp"]
"""Of an Ollama: llama-server for GGUF files, the engine that it had for them before, MLX for
safetensors. llama.cpp runs in the process of fleet's own embedded engine."""

MLX_FORMAT = "safetensors"
MLX: Runner = "mlx"

MLX_CACHE_BYTES = 8 * 2**30
"""What the MLX runner keeps of earlier prompts, beside the weights and the context in use."""
MLX_BATCH = 2048
"""Prompt tokens that the MLX runner evaluates at once, whatever num_batch says."""


def runner_of(engine: str, version: str | None, model_format: str | None) -> Runner | None:
    """Return the runner of a model of this format; None where that is not known.

    `engine` is the kind of an engine; a simulated one plays an Ollama of its version.
    """
    if engine == "embedded":
        return "llama.cpp"
    if model_format == MLX_FORMAT:
        return MLX
    numbers = version_of(version)
    if model_format != "gguf" or numbers is None:
        return None
    return "llama-server" if numbers >= LLAMA_SERVER else "older engine"


def variant_hint(name: str) -> str:
    """Return what tells the variants of a model apart, where one name may mean several."""
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:{TAG}"
    return f"name one variant by a tag of its own, as in {tagged}-mlx"
