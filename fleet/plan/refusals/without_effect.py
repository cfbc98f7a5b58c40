"""Axes that change nothing on the runner of a model: each value would measure the same; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.model.machine import Machine
from fleet.model.runners import MLX_BATCH, MLX_FORMAT
from fleet.plan.refusals.unfit import LeftOut
from fleet.plan.selection import Asked

_OF_LLAMA_SERVER = "is read by llama-server alone"

NO_EFFECT_ON_MLX: Mapping[str, str] = {
    "num_ctx": "is a label there: the context grows as it is needed, up to the model's own",
    "num_batch": f"is not read there: prompts are evaluated {MLX_BATCH} tokens at a time",
    "num_parallel": "is not read there: requests are answered one at a time",
    **dict.fromkeys(
        (
            *("num_thread", "num_gpu", "kv_cache_type", "flash_attention", "cache_ram_mb"),
            *("n_cpu_moe", "swa_full", "fit_target_mb"),
        ),
        _OF_LLAMA_SERVER,
    ),
}
"""By setting, why another value of it makes no other trial of a model that runs on MLX."""


def without_effect(machines: Sequence[Machine], wanted: Asked) -> dict[tuple[str, str], LeftOut]:
    """Return, by machine id and model, the models on MLX of an experiment with such an axis."""
    axes = [
        name
        for name in NO_EFFECT_ON_MLX
        if len({combination.get(name) for combination in wanted.combinations}) > 1
    ]
    if not axes:
        return {}
    why = "; ".join(f"{name} {NO_EFFECT_ON_MLX[name]}" for name in axes)
    pairs = (
        (machine, machine.model(model), model) for machine in machines for model in wanted.models
    )
    return {
        (machine.machine_id, model): LeftOut(
            machine=machine.name, model=model, clause=f"runs on MLX: {why}", unmeasurable=True
        )
        for machine, facts, model in pairs
        if facts is not None and facts.model_format == MLX_FORMAT
    }
