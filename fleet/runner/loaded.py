"""Whether a quick look can use the model as somebody has loaded it, which saves two loads."""

from __future__ import annotations

from fleet.model.trial import Trial
from fleet.ports import Engine


def is_loaded_as_required(trial: Trial, engine: Engine) -> bool:
    """Return True if the context fits too: for another one the engine would reload the model."""
    if trial.job.answer_s is None or trial.job.load == "request":
        return False
    placement = engine.placement(trial.model)
    return placement is not None and placement.context_length == trial.settings.get("num_ctx")
