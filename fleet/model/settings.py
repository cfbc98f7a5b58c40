"""Settings: what an experiment sets and varies. A list in YAML is an axis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from fleet.model.job import CONTEXT_STEP
from fleet.model.noun import Noun

Value = int | float | str | bool


def _multiple_of_context_step(tokens: int) -> int:
    if tokens % CONTEXT_STEP:
        raise ValueError(f"must be a multiple of {CONTEXT_STEP}: engines round it up silently")
    return tokens


Context = Annotated[int, Field(ge=CONTEXT_STEP), AfterValidator(_multiple_of_context_step)]
Count = Annotated[int, Field(ge=1)]
Layers = Annotated[int, Field(ge=-1)]
Amount = Annotated[float, Field(ge=0)]
Limit = int | Literal["default"]
Size = Annotated[int, Field(ge=0)]
CacheType = Literal["f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]


class Settings(Noun):
    """Scalars are sent as they are; each list is measured value by value."""

    num_ctx: Context | list[Context] = 8192
    """Context length in tokens, always sent, since engines choose different defaults."""
    num_batch: Count | list[Count] = 512
    """Prompt tokens evaluated at once."""
    temperature: Amount | list[Amount] = 0.0
    """0 is greedy decoding."""
    repeat_penalty: Amount | list[Amount] = 1.0
    """1 is none; always sent, since its default changed between engine versions."""
    num_thread: Count | list[Count] | None = None
    """CPU threads; sent only if given."""
    num_gpu: Layers | list[Layers] | None = None
    """Layers on the GPU; sent only if given."""
    wired_limit_mb: Limit | list[Limit] | None = None
    """GPU wired limit of a Mac in MiB (`iogpu.wired_limit_mb`); put back after each trial."""
    flash_attention: bool | list[bool] | None = None
    """OLLAMA_FLASH_ATTENTION; left out: as Ollama chooses."""
    kv_cache_type: CacheType | list[CacheType] | None = None
    """OLLAMA_KV_CACHE_TYPE."""
    num_parallel: Count | list[Count] | None = None
    """OLLAMA_NUM_PARALLEL; each slot has a context of its own."""
    cache_ram_mb: Size | list[Size] | None = None
    """LLAMA_ARG_CACHE_RAM: MiB of memory for states of earlier prompts; 0: none."""
    n_cpu_moe: Size | list[Size] | None = None
    """LLAMA_ARG_N_CPU_MOE: layers whose experts stay in the CPU's memory."""
    swa_full: bool | list[bool] | None = None
    """LLAMA_ARG_SWA_FULL: a cache of full size for sliding-window layers."""
    fit_target_mb: Size | list[Size] | None = None
    """LLAMA_ARG_FIT_TARGET: MiB to leave free on each GPU."""

    @field_validator("*")
    @classmethod
    def _no_empty_or_doubled_axis(cls, value: object) -> object:
        if isinstance(value, list) and len(set(value)) < max(len(value), 1):
            raise ValueError("a list needs at least one value, each only once")
        return value

    def combinations(self) -> list[dict[str, Value]]:
        """Every combination of the axes, in the order written; settings not given are left out."""
        given = {name: value for name, value in self if value is not None}
        axes = [value if isinstance(value, list) else [value] for value in given.values()]
        return [dict(zip(given, values, strict=True)) for values in product(*axes)]

    def axes(self) -> tuple[str, ...]:
        """Names of the settings that take more than one value."""
        return tuple(name for name, value in self if isinstance(value, list) and len(value) > 1)


WIRED_LIMIT, ENGINE_ENVIRONMENT = "wired-limit", "engine-environment"
"""Kinds of setting that a machine allows or not: `Machine.settable`."""

ENGINE_VARIABLES = {
    "flash_attention": "OLLAMA_FLASH_ATTENTION",
    "kv_cache_type": "OLLAMA_KV_CACHE_TYPE",
    "num_parallel": "OLLAMA_NUM_PARALLEL",
    "cache_ram_mb": "LLAMA_ARG_CACHE_RAM",
    "n_cpu_moe": "LLAMA_ARG_N_CPU_MOE",
    "swa_full": "LLAMA_ARG_SWA_FULL",
    "fit_target_mb": "LLAMA_ARG_FIT_TARGET",
}
"""Settings of the engine's environment: read once, when the engine starts."""


def engine_variables(settings: Mapping[str, Value]) -> dict[str, str]:
    """The environment that these settings ask for."""
    return {
        variable: str(int(settings[name]))
        if isinstance(settings[name], bool)
        else str(settings[name])
        for name, variable in ENGINE_VARIABLES.items()
        if name in settings
    }
