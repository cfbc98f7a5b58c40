"""What can be compared, what may differ meanwhile, and what must not: one table each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fleet.errors import UnknownName, nearest

Standing = Literal["refused", "listed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One speed or time, as a column of the view `speeds`."""

    name: str
    column: str
    unit: str
    scale: float = 1.0
    """Shown value = stored value times this."""
    higher_is_faster: bool
    prompt_bound: bool = False
    """Depends on the length of the prompt, so unlike prompts are not comparable."""
    naive: str | None = None
    note: str | None = None


METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            name="prefill",
            column="prefill_tokens_per_s",
            unit="tokens/s",
            higher_is_faster=True,
            prompt_bound=True,
            naive="naive_prefill_tokens_per_s",
            note="prefill_note",
        ),
        Metric(
            name="decode",
            column="decode_tokens_per_s",
            unit="tokens/s",
            higher_is_faster=True,
            naive="naive_decode_tokens_per_s",
            note="decode_note",
        ),
        Metric(
            name="ttft",
            column="first_token_ns",
            unit="ms",
            scale=1e-6,
            higher_is_faster=False,
            prompt_bound=True,
        ),
        Metric(name="load", column="load_ns", unit="s", scale=1e-9, higher_is_faster=False),
    )
}


@dataclass(frozen=True, slots=True)
class Field:
    words: str
    standing: Standing


SETTINGS: dict[str, str] = {
    "num_ctx": "num_ctx",
    "num_batch": "num_batch",
    "num_thread": "num_thread",
    "num_gpu": "num_gpu",
    "temperature": "temperature",
    "repeat_penalty": "repeat_penalty",
    "wired_limit_mb": "wired limit",
    "flash_attention": "flash attention",
    "kv_cache_type": "KV cache type",
    "num_parallel": "num_parallel",
    "cache_ram_mb": "cache_ram_mb",
    "n_cpu_moe": "n_cpu_moe",
    "swa_full": "swa_full",
    "fit_target_mb": "fit_target_mb",
    "think": "thinking",
}

FIELDS: dict[str, Field] = {
    "digest": Field("model digests", "refused"),
    "job_content": Field("the jobs' contents", "refused"),
    "engine": Field("engines", "refused"),
    "engine_version": Field("engine versions", "refused"),
    **{name: Field(words, "refused") for name, words in SETTINGS.items()},
    "chip": Field("chip", "listed"),
    "gpu": Field("GPU", "listed"),
    "gpu_cores": Field("GPU cores", "listed"),
    "memory_gb": Field("memory (GB)", "listed"),
    "gpu_limit_mb": Field("GPU limit (MiB)", "listed"),
    "os": Field("OS", "listed"),
    "os_version": Field("OS version", "listed"),
    "os_build": Field("OS build", "listed"),
    "gpu_driver": Field("GPU driver", "listed"),
    "engine_environment": Field("engine environment", "listed"),
    "power_source": Field("power source", "listed"),
    "power_mode": Field("power mode", "listed"),
    "thermal_class": Field("thermal class", "listed"),
}
"""Facts looked at besides the axis. Prompt lengths are judged by themselves."""

PROMPT_TOKENS = "prompt_tokens"

_MACHINE = frozenset({"chip", "gpu", "gpu_cores", "memory_gb", "os", "gpu_driver"})

HARDWARE_AXES = frozenset(
    {"machine", "hardware_id", "chip", "gpu", "gpu_cores", "memory_gb", "gpu_memory_mb", "os"}
)
"""Always compared from machine to machine."""

CONDITION_AXES = frozenset(
    {
        "os_version",
        "os_build",
        "gpu_driver",
        "gpu_limit_mb",
        "power_source",
        "power_mode",
        "thermal_class",
        "engine",
        "engine_version",
        "engine_environment",
        "experiment",
        "session",
        "fleet_version",
        "imported",
        "source",
    }
)
"""Compared within each machine where one has shown more than one of them, else across."""

WORK_AXES = frozenset({"model", "digest", "job", "point", "settings", *SETTINGS})
"""Always compared within each machine."""

AXES = HARDWARE_AXES | CONDITION_AXES | WORK_AXES

IMPLIED: dict[str, frozenset[str]] = {
    **dict.fromkeys(HARDWARE_AXES, _MACHINE),
    "model": frozenset({"digest"}),
    "job": frozenset({"job_content", PROMPT_TOKENS}),
    "point": frozenset({PROMPT_TOKENS}),
    "engine": frozenset({"engine_version", "engine_environment", "digest"}),
    "engine_version": frozenset({"engine_environment"}),
    "wired_limit_mb": frozenset({"gpu_limit_mb"}),
    "os": _MACHINE | {"os_version", "os_build"},
    "os_version": frozenset({"os_build"}),
    "settings": frozenset({*SETTINGS, "gpu_limit_mb"}),
}
"""What differs because the axis does: neither refused nor listed."""


def check_axis(name: str) -> str:
    return known(name, AXES, "axis to compare by", "fleet compare --by machine")


def check_metric(name: str) -> Metric:
    return METRICS[known(name, METRICS, "metric", "fleet compare --by machine --metric decode")]


def known(name: str, names: Iterable[str], what: str, mend: str) -> str:
    """The name itself; UnknownName with the nearest one where nobody has it."""
    names = list(names)
    if name in names:
        return name
    near = nearest(name, names)
    hint = f" (did you mean {near}?)" if near else f": there is {', '.join(sorted(names))}"
    raise UnknownName(f"{name}: unknown {what}{hint}", mend)


def natural(text: object) -> list[tuple[int, float, str]]:
    """Sort key that puts 20b before 120b and 512 before 2048."""
    return [
        (0, float(part), "") if part.replace(".", "", 1).isdigit() else (1, 0.0, part)
        for part in re.split(r"(\d+(?:\.\d+)?)", str(text))
        if part
    ]
