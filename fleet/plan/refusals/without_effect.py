"""Axes that change nothing on the runner of a model: each value would measure the same; pure.

Which settings a runner reads stands with the settings; this module adds the reasons.
"""

from __future__ import annotations

from fleet.model.runners import MLX_BATCH, MLX_FORMAT
from fleet.model.settings import SETTINGS
from fleet.plan.refusals.unfit import LeftOut
from fleet.plan.selection import Selection

_BY_DEFAULT = "is read by llama-server alone"
_REASONS = {
    "num_ctx": "is a label there: the context grows as it is needed, up to the model's own",
    "num_batch": f"is not read there: prompts are evaluated {MLX_BATCH} tokens at a time",
    "num_parallel": "is not read there: requests are answered one at a time",
}


def without_effect(selection: Selection) -> dict[tuple[str, str], LeftOut]:
    """Return, by machine id and model, the models on MLX of a selection with such an axis."""
    axes = [
        name
        for name, setting in SETTINGS.items()
        if "mlx" not in setting.runners
        and len({combination.get(name) for combination in selection.combinations}) > 1
    ]
    if not axes:
        return {}
    why = "; ".join(f"{name} {_REASONS.get(name, _BY_DEFAULT)}" for name in axes)
    pairs = (
        (machine, machine.model(model), model)
        for machine in selection.ready
        for model in selection.models
    )
    return {
        (machine.machine_id, model): LeftOut(
            machine=machine.name, model=model, clause=f"runs on MLX: {why}", unmeasurable=True
        )
        for machine, facts, model in pairs
        if facts is not None and facts.model_format == MLX_FORMAT
    }
