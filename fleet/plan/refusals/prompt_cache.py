"""Models on MLX whose weights fit, but not with all the prompts that the runner keeps; pure."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.model.runners import MLX_CACHE_BYTES, MLX_FORMAT
from fleet.plan.refusals.unfit import PlanWarning
from fleet.plan.selection import Selection
from fleet.units import show_bytes


def short_of_cache(selection: Selection) -> Iterator[PlanWarning]:
    """Yield a warning for each model that the cache of prompts may push over the GPU's memory."""
    for machine in selection.ready:
        limit = machine.gpu_memory_bytes()
        for name in selection.models:
            model = machine.model(name)
            if model is None or model.model_format != MLX_FORMAT or limit is None:
                continue
            if model.size_bytes <= limit < model.size_bytes + MLX_CACHE_BYTES:
                yield PlanWarning(
                    machine=machine.name,
                    model=name,
                    what=f"{show_bytes(model.size_bytes)} fit into {show_bytes(limit)}, but MLX "
                    f"keeps up to {show_bytes(MLX_CACHE_BYTES)} of earlier prompts besides: many "
                    "long ones slow it down",
                )
