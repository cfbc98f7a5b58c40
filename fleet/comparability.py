"""What may differ between two sides of a comparison: one published table.

Each fact has one class on each axis. *Implied*: it differs because the axis does. *Listed*: the
comparison stands, and says that it differs. *Refused*: the two are not compared, unless the fact
is named with `--allow-diff`. `fleet compare` applies the table to what was measured, `fleet plan`
to the machines as found; `fleet compare --classes` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Standing = Literal["implied", "listed", "refused"]

SETTINGS: dict[str, str] = {
    "num_ctx": "num_ctx",
    "num_batch": "num_batch",
    "num_thread": "num_thread",
    "num_gpu": "num_gpu",
    "temperature": "temperature",
    "repeat_penalty": "repeat_penalty",
    "wired_limit_mb": "wired limit",
    "kv_cache_type": "KV cache types",
    "flash_attention": "flash attention",
    "num_parallel": "num_parallel",
    "cache_ram_mb": "cache_ram_mb",
    "n_cpu_moe": "n_cpu_moe",
    "swa_full": "swa_full",
    "fit_target_mb": "fit_target_mb",
    "think": "thinking",
}
"""By the name of a column: what it is called where it differs."""

ENVIRONMENT_FACTS = {
    "kv_cache_type": "OLLAMA_KV_CACHE_TYPE",
    "flash_attention": "OLLAMA_FLASH_ATTENTION",
}
"""Facts that lie in the engine's environment, by their variable: as asked, else as found."""

PROMPT_TOKENS, OUTPUT_TOKENS = "prompt_tokens", "output_tokens"
COUNTS = (PROMPT_TOKENS, OUTPUT_TOKENS)
"""Judged by their lengths, and only for metrics that depend on them."""

ENERGY_SCOPE, ENERGY_ESTIMATE = "energy_scope", "energy_estimate"
ENERGY_FACTS = (ENERGY_SCOPE, ENERGY_ESTIMATE, "energy_source")
"""Only trials whose energy is asked for have them; a value that no chip estimates has no estimate.

Joules of a board, of a chip and of a whole machine are unlike things. What a chip says of itself
is a model of its maker, made for one kind of chip. Two meters of one part measure the same thing.
"""


@dataclass(frozen=True, slots=True)
class Field:
    words: str
    standing: Standing
    """Where the axis does not say otherwise."""


FACTS: dict[str, Field] = {
    "digest": Field("model digests", "refused"),
    "model_format": Field("model formats", "refused"),
    "quantization": Field("quantization", "refused"),
    "drafts": Field("drafts", "refused"),
    "runner": Field("runners", "listed"),
    "job_content": Field("the jobs' contents", "refused"),
    PROMPT_TOKENS: Field("prompt tokens", "refused"),
    OUTPUT_TOKENS: Field("output tokens", "refused"),
    "engine": Field("engines", "refused"),
    "engine_version": Field("engine versions", "refused"),
    **{name: Field(words, "refused") for name, words in SETTINGS.items()},
    "chip": Field("chip", "listed"),
    "gpu": Field("GPU", "listed"),
    "gpu_cores": Field("GPU cores", "listed"),
    "gpu_memory_mb": Field("GPU memory (MiB)", "listed"),
    "memory_gb": Field("memory (GB)", "listed"),
    "memory_bandwidth_gb_s": Field("memory bandwidth (GB/s)", "listed"),
    "gpu_driver": Field("GPU driver", "listed"),
    "gpu_limit_mb": Field("GPU limit (MiB)", "listed"),
    "os": Field("OS", "listed"),
    "os_version": Field("OS version", "listed"),
    "os_build": Field("OS build", "listed"),
    "engine_environment": Field("engine environment", "listed"),
    "power_source": Field("power source", "listed"),
    "power_mode": Field("power mode", "listed"),
    "thermal_class": Field("thermal class", "listed"),
    ENERGY_SCOPE: Field("measured parts of the machine", "refused"),
    ENERGY_ESTIMATE: Field("chips that estimate their own energy", "refused"),
    "energy_source": Field("energy sources", "listed"),
}
"""In the order in which they are told."""

HARDWARE_AXES = frozenset(
    {
        *("machine", "hardware_id", "chip", "gpu", "gpu_cores", "memory_gb", "gpu_memory_mb"),
        *("memory_bandwidth_gb_s", "os"),
    }
)
"""Always compared from machine to machine."""

CONDITION_AXES = frozenset(
    {
        *("os_version", "os_build", "gpu_driver", "gpu_limit_mb"),
        *("power_source", "power_mode", "thermal_class"),
        *("engine", "engine_version", "engine_environment", *ENVIRONMENT_FACTS),
        *("experiment", "session", "date", "fleet_version", "imported", "source"),
    }
)
"""Compared within each machine where one has shown more than one of them, else across."""

_WEIGHTS = frozenset({"model_format", "quantization", "drafts"})

WORK_AXES = (
    frozenset({"model", "digest", "job", "point", "settings", *SETTINGS, *_WEIGHTS})
    - CONDITION_AXES
)
"""Always compared within each machine."""

AXES = HARDWARE_AXES | CONDITION_AXES | WORK_AXES

_MACHINE = frozenset(
    {
        *("chip", "gpu", "gpu_cores", "gpu_memory_mb", "memory_gb", "memory_bandwidth_gb_s"),
        *("gpu_driver", "os"),
    }
)
_ENVIRONMENT = frozenset({"engine_environment", *ENVIRONMENT_FACTS})

IMPLIED: dict[str, frozenset[str]] = {
    **dict.fromkeys(HARDWARE_AXES, _MACHINE),
    "os": _MACHINE | {"os_version", "os_build"},
    "memory_gb": frozenset({"gpu_memory_mb"}),
    "gpu_limit_mb": frozenset({"wired_limit_mb"}),
    "os_version": frozenset({"os_build"}),
    "model": frozenset({"digest"}),
    **dict.fromkeys(_WEIGHTS, frozenset({"digest"})),
    "job": frozenset({"job_content", *COUNTS}),
    "point": frozenset(COUNTS),
    "engine": frozenset({"engine_version", "digest"}) | _ENVIRONMENT,
    "engine_environment": _ENVIRONMENT,
    "wired_limit_mb": frozenset({"gpu_limit_mb"}),
    "settings": frozenset({*SETTINGS, "gpu_limit_mb"}),
}
"""By axis: what differs because the axis does."""

SHOWN_AXES = ("machine", "model", "job", "num_batch", "engine_version", "os_version", "date")
"""Of the many, those that a page has room for; the others are alike."""

LISTED: dict[str, frozenset[str]] = {
    **dict.fromkeys(("date", "session"), frozenset({"engine_version", "engine_environment"})),
    "model": frozenset({"think"}) | _WEIGHTS,
    **dict.fromkeys(("digest", *_WEIGHTS), _WEIGHTS),
}
"""By axis: what is asked about. Between two dates an engine was updated, and that is the news;
and whether a model thinks is a property of the model, as is how its weights are stored."""


def standing(fact: str, axis: str) -> Standing:
    """The class of a fact of FACTS on an axis; an axis that is a fact implies itself."""
    if fact == axis or fact in IMPLIED.get(axis, ()):
        return "implied"
    if fact in LISTED.get(axis, ()):
        return "listed"
    return FACTS[fact].standing


def is_across(axis: str) -> bool | None:
    """Compared from machine to machine; None: only if no machine has shown two values."""
    if axis in HARDWARE_AXES:
        return True
    return False if axis in WORK_AXES else None


Values = Callable[[str], Set[str | None]]
"""The values that a side shows of a fact; None among them: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact that is not the same on both sides."""

    fact: str
    words: str
    standing: Standing
    baseline: frozenset[str | None]
    side: frozenset[str | None]

    @property
    def unknown(self) -> bool:
        """One side shows no value at all: that the two differ is not known."""
        return {None} in (self.baseline, self.side)


def differing(baseline: Values, side: Values, axis: str) -> Iterator[Difference]:
    """What differs and is not implied; token counts are judged elsewhere."""
    for fact, of_axis in _not_implied(axis):
        theirs, ours = baseline(fact), side(fact)
        if theirs != ours:
            yield Difference(
                fact=fact,
                words=FACTS[fact].words,
                standing=of_axis,
                baseline=frozenset(theirs),
                side=frozenset(ours),
            )


@lru_cache(maxsize=64)
def _not_implied(axis: str) -> tuple[tuple[str, Standing], ...]:
    """In the order in which they are told, with their class."""
    classes = ((fact, standing(fact, axis)) for fact in FACTS if fact not in COUNTS)
    return tuple((fact, of_axis) for fact, of_axis in classes if of_axis != "implied")
