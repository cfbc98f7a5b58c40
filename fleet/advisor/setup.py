"""One way of running a model: context, slots, cache type, and the engine that does it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from fleet.errors import UserError

CONTEXT_STEP = 256
MOST_CONTEXT = 2**31
MOST_SLOTS = 4096
MOST_BATCH = 2**20

CACHE_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Bytes for each element of the cache by its type."""


Logits = Literal["slots", "batch", "unknown"]
"""One row of logits for each slot (Ollama's own engine; llama-server from spring 2026), or for the
whole physical batch (llama.cpp before, and `llama-fit-params`)."""


class Runner(StrEnum):
    """The program that holds the model."""

    LLAMA_SERVER = "llama-server"
    """llama.cpp's server: alone, or under Ollama from v0.30.0."""
    OLLAMA_ENGINE = "ollama-engine"
    """Ollama's own engine for gpt-oss, Gemma, Qwen and others, v0.11 to v0.29."""
    MLX = "mlx"
    """Ollama's MLX engine, for models in the format safetensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a model is run; None means: not known, and both ways are counted."""

    context: int
    """Tokens for each slot."""
    slots: int = 1
    cache_type: str = "f16"
    flash_attention: bool | None = True
    batch: int | None = None
    """The physical batch; None: what the engine chooses by itself."""
    runner: Runner = Runner.LLAMA_SERVER
    current: bool | None = True
    """An engine that keeps one attention mask in F16, and of latent attention the compressed row
    alone: Ollama from v0.30, llama.cpp from spring 2026."""
    logits: Logits | None = None
    """For how many tokens logits are reserved; None: `slots` of a current engine, else `batch`."""
    unified: bool = False
    """The slots share one cache."""
    devices: int = 1
    tokens_used: int | None = None
    """Of MLX: prompt and answer together; None: the whole context."""
    read_pictures: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.context <= MOST_CONTEXT:
            raise UserError(
                f"a context of {self.context} tokens cannot be had", "name 1 to 2147483648"
            )
        if not 1 <= self.slots <= MOST_SLOTS:
            raise UserError(f"{self.slots} parallel slots cannot be had", "name 1 to 4096")
        if self.batch is not None and not 1 <= self.batch <= MOST_BATCH:
            raise UserError(f"a batch of {self.batch} tokens cannot be had", "name 1 to 1048576")
        if self.devices < 1:
            raise UserError(f"{self.devices} devices hold no model", "name at least 1")
        if self.cache_type not in CACHE_BYTES:
            raise UserError(
                f"{self.cache_type}: no type of cache", f"one of {', '.join(CACHE_BYTES)}"
            )

    @property
    def cells(self) -> int:
        """Tokens that one slot has room for: llama.cpp rounds up to 256."""
        return -(-self.context // CONTEXT_STEP) * CONTEXT_STEP

    def micro_batch(self) -> int:
        """Return the physical batch: as named, else as the engine chooses it.

        Ollama from v0.30: 512 up to 4096 tokens of context over all slots, 1024 up to 32768,
        else 2048. Before: 512.
        """
        if self.batch is not None:
            return self.batch
        if self.runner is Runner.OLLAMA_ENGINE or self.current is False:
            return 512
        together = self.context * self.slots
        return 512 if together <= 4096 else 1024 if together <= 32768 else 2048

    def capped(self, trained_context: int | None) -> Setup:
        """Return the setup with the context that the engine gives: never more than trained."""
        if trained_context is None or self.context <= trained_context:
            return self
        return replace(self, context=trained_context)


def of_version(setup: Setup, kind: str, version: str, *, safetensors: bool = False) -> Setup:
    """Return the setup under this engine; an unknown version counts both ways."""
    if safetensors:
        return replace(setup, runner=Runner.MLX)
    if kind == "ollama":
        return _of_ollama(setup, version)
    build = re.match(r"b?(\d{4,6})$", version.strip())
    if kind == "llama.cpp" and build:
        number = int(build[1])
        slots: Logits = "slots" if number >= FIRST_SLOT_LOGITS_BUILD else "batch"
        return replace(setup, current=number >= FIRST_F16_MASK_BUILD, logits=slots)
    return replace(setup, current=None)


def _of_ollama(setup: Setup, version: str) -> Setup:
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) == (0, 0):
        return replace(setup, current=None)
    minor = int(numbers[1]), int(numbers[2])
    if minor < (0, 30):
        return replace(setup, runner=Runner.OLLAMA_ENGINE, current=False, logits="slots")
    logits: Logits | None = "unknown" if minor == (0, 30) else None
    return replace(setup, runner=Runner.LLAMA_SERVER, current=True, logits=logits)


FIRST_F16_MASK_BUILD, FIRST_SLOT_LOGITS_BUILD = 7800, 9000
"""Builds of llama.cpp from which on the attention mask stands in F16 only, and from which on logits
are reserved for the slots only; both are read off logs, to within some hundred builds."""
