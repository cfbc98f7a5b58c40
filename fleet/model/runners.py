"""Which program computes a model's answers, and from which of its counters a speed is made."""

from __future__ import annotations

import re
from typing import Literal

Runner = Literal["llama-server", "older engine", "mlx", "llama.cpp"]
"""Of an Ollama: llama-server for GGUF files, the engine that it had for them before, MLX for
safetensors. llama.cpp runs in the process of fleet's own embedded engine."""

MLX_FORMAT = "safetensors"
MLX: Runner = "mlx"
FIRST_LLAMA_SERVER = (0, 30)
"""The first version of Ollama that runs GGUF files in a llama-server."""

MLX_BATCH = 2048
"""Prompt tokens that the MLX runner evaluates at once, whatever num_batch says."""

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})", re.ASCII)


def runner_of(engine: str, version: str | None, model_format: str | None) -> Runner | None:
    """Return the runner of a model of this format; None where that is not known.

    `engine` is the kind of an engine; a simulated one plays an Ollama of its version.
    """
    if engine == "embedded":
        return "llama.cpp"
    if model_format == MLX_FORMAT:
        return MLX
    number = _VERSION.match(version or "")
    if model_format != "gguf" or number is None:
        return None
    is_new = (int(number[1]), int(number[2])) >= FIRST_LLAMA_SERVER
    return "llama-server" if is_new else "older engine"
